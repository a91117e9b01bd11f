"""Questions about charts in Chinese; `vl2.synth.wordings_charts` has the same kinds in English.

Slots: {cat} a category, {series} a legend entry, {a} and {b} two categories, {value} a number, {mark} a bar.
"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", "|").split("|"))


CHART_ZH: dict[str, tuple[str, ...]] = {
    "value": _listed(
        """{cat}的数值是多少？|{cat}是多少？|{cat}对应的值是多少？|图中{cat}的值是多少？|请读出{cat}的数值。|{cat}的{mark}是多少？
        请问{cat}是多少|{cat}达到了多少？"""
    ),
    "value_series": _listed(
        """{cat}的{series}是多少？|{series}在{cat}的数值是多少？|{cat}对应的{series}的值是多少？|图中{series}在{cat}是多少？
        请读出{series}在{cat}的数值。|在{cat}，{series}是多少？|{series}的{cat}数据是多少"""
    ),
    "share": _listed(
        """{cat}占多少？|{cat}的占比是多少？|{cat}所占的百分比是多少？|{cat}占百分之几？|请问{cat}的比例是多少？|{cat}的份额是多少？"""
    ),
    "highest": _listed(
        """哪一项最高？|数值最大的是哪一项？|最高的{mark}是哪个？|哪个最大？|图中最大值对应的是什么？|谁最多？|请找出最高的一项。"""
    ),
    "lowest": _listed(
        """哪一项最低？|数值最小的是哪一项？|最低的{mark}是哪个？|哪个最小？|图中最小值对应的是什么？|谁最少？|请找出最低的一项。"""
    ),
    "highest_series": _listed(
        "{cat}中哪个系列最高？|在{cat}，哪一个最大？|{cat}数值最大的是哪个系列？|{cat}里谁最多？"
    ),
    "max": _listed("最大值是多少？|图中的最高值是多少？|最高的数值是多少？|峰值是多少？"),
    "min": _listed("最小值是多少？|图中的最低值是多少？|最低的数值是多少？"),
    "title": _listed("图表的标题是什么？|这张图的标题是什么？|标题写的是什么？|这张图是关于什么的？|请读出图表标题。"),
    "count": _listed("一共有几个{mark}？|图中有几个类别？|共有多少项？|横轴上有几个类别？|类别的数量是多少？"),
    "num_series": _listed("图例中有几项？|有几个系列？|一共有几个数据系列？|图中有几种颜色？"),
    "x_label": _listed("横轴表示什么？|x轴的标签是什么？|横轴的名称是什么？|横坐标写的是什么？"),
    "y_label": _listed("纵轴表示什么？|y轴的标签是什么？|纵轴的名称是什么？|纵坐标写的是什么？"),
    "color_of": _listed("{series}是什么颜色？|{series}用什么颜色表示？|代表{series}的颜色是什么？|{series}的颜色是？"),
    "series_of": _listed("{color}代表什么？|{color}表示哪一项？|{color}的是什么？|哪一项用{color}表示？"),
    "difference": _listed("{a}和{b}相差多少？|{a}与{b}的差是多少？|{a}和{b}之间的差距是多少？|{a}与{b}差了多少"),
    "sum": _listed("{a}和{b}一共是多少？|{a}与{b}之和是多少？|{a}加{b}等于多少？|{a}和{b}合计多少？"),
    "bigger": _listed("{a}和{b}哪个更大？|{a}与{b}相比，哪个更高？|{a}和{b}谁更多？|{a}还是{b}更高？"),
    "category_of": _listed("哪一项的数值是{value}？|{value}对应的是哪一项？|数值为{value}的是什么？|谁是{value}？"),
    "kind": _listed("这是什么类型的图？|这是什么图表？|图表的类型是什么？|这是柱状图、折线图还是饼图？"),
    "first": _listed("第一个类别是什么？|第一个{mark}是什么？|排在最前面的是哪一项？|从哪一项开始？"),
    "last": _listed("最后一个类别是什么？|最后一个{mark}是什么？|排在最后的是哪一项？|到哪一项结束？"),
}
CHART_FIND_ZH: dict[str, tuple[str, ...]] = {
    "part": _listed("{x}的{m}|{x}对应的{m}|表示{x}的{m}|{x}这个{m}|标着{x}的{m}"),
    "both": _listed("{x}中{s}的{m}|{s}在{x}的{m}|{x}的{s}{m}|表示{x}{s}的{m}"),
    "legend": _listed("图例中的{x}|图例里{x}这一项|图例项{x}|图例上写着{x}的地方"),
    "title": _listed("标题|图表的标题|图的标题|最上面的标题"),
    "axis": _listed("{a}轴的标签|{a}轴的名称|{a}轴标题|写着{a}轴名称的文字"),
    "name": _listed("坐标轴上的{x}|类别标签{x}|文字{x}|轴上写着{x}的地方|{x}这个标签"),
}
COLOURS_ZH = {
    "red": "红色", "blue": "蓝色", "green": "绿色", "orange": "橙色", "purple": "紫色", "yellow": "黄色",
    "pink": "粉色",
    "brown": "棕色", "gray": "灰色", "cyan": "青色", "black": "黑色",
}  # fmt: skip
KINDS_ZH = {
    "bar": ("柱状图", "条形图", "柱形图"),
    "barh": ("条形图", "柱状图", "横向条形图"),
    "line": ("折线图", "线图"),
    "area": ("面积图",),
    "pie": ("饼图", "饼状图"),
    "donut": ("环形图", "圆环图", "饼图"),
}
