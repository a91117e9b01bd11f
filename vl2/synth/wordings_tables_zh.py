"""Questions about tables in Chinese; `vl2.synth.wordings_tables` has the same kinds in English.

Slots: {row} the name of a row, {col} a header, {key} what rows are, {value} a cell, {i} a number, {x} a text.
"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", "|").split("|"))


TABLE_ZH: dict[str, tuple[str, ...]] = {
    "cell": _listed(
        """{row}的{col}是什么？|{row}的{col}是多少？|{row}对应的{col}？|表中{row}的{col}是？|请查一下{row}的{col}。
        请问{row}的{col}是多少|{row}这一行的{col}写的是什么？|查{row}的{col}"""
    ),
    "at": _listed("第{i}行的{col}是什么？|请读出第{i}行的{col}。|第{i}行{col}是多少？"),
    "highest": _listed("哪个{key}的{col}最高？|{col}最大的是哪个{key}？|{col}最高的是哪一行？|谁的{col}最高？"),
    "lowest": _listed("哪个{key}的{col}最低？|{col}最小的是哪个{key}？|{col}最低的是哪一行？|谁的{col}最低？"),
    "max": _listed("{col}的最大值是多少？|最高的{col}是多少？|{col}一列中最大的数是多少？"),
    "min": _listed("{col}的最小值是多少？|最低的{col}是多少？|{col}一列中最小的数是多少？"),
    "lookup": _listed("哪个{key}的{col}是{value}？|{col}为{value}的是哪个{key}？|{col}等于{value}的是哪一行？"),
    "num_rows": _listed("表格有几行数据？|表中一共有多少个{key}？|除表头外有几行？|共有几行？"),
    "num_columns": _listed("表格有几列？|一共有多少列？|列数是多少？"),
    "headers": _listed("表头有哪些？|列名分别是什么？|请列出表头。|各列的标题是什么？"),
    "title": _listed("表格的标题是什么？|标题写的是什么？|这张表叫什么？|请读出表格标题。"),
    "first": _listed("第一个{key}是什么？|第一行的{key}是什么？|排在最前面的{key}是？"),
    "last": _listed("最后一个{key}是什么？|最后一行的{key}是什么？|排在最后的{key}是？"),
}
TABLE_FIND_ZH: dict[str, tuple[str, ...]] = {
    "cell": _listed("单元格{x}|写着{x}的单元格|内容为{x}的格子|{x}所在的单元格"),
    "text": _listed("文字{x}|“{x}”|写着{x}的地方|{x}|表中的{x}"),
    "row": _listed("{x}这一行|{x}所在的行|{x}的整行|表格中{x}那一行"),
    "column": _listed("{x}这一列|{x}列|{x}所在的列|{x}的整列"),
    "header": _listed("表头{x}|列标题{x}|表头中的{x}|标题单元格{x}"),
    "title": _listed("标题|表格的标题|表格上方的标题|表名"),
}
"""Headers and titles of drawn tables."""
KEYS_ZH = {
    "person": _listed("姓名|员工|学生|客户|联系人|负责人"),
    "place": _listed("城市|地区|站点|区域|产地"),
    "company": _listed("公司|单位|供应商|客户|品牌"),
    "thing": _listed("商品|品名|项目|类别|名称|产品|科目"),
}
NUMBERS_ZH = _listed(
    """数量/个|得分/分|年龄/岁|库存/件|人数/人|销量/件|面积/平方米|重量/公斤|次数/次|排名/名|订单/个|产量/吨
    高度/米
    长度/米|时长/小时|温度/度|人口/人"""
)
MONEY_ZH = _listed("价格|金额|单价|工资|收入|成本|预算|费用|利润|余额|租金")
SHARES_ZH = _listed("比例|增长率|占比|折扣|合格率|出勤率")
DATES_ZH = _listed("日期|开始日期|到期日|入职日期|更新日期|出生日期")
WORDS_ZH = _listed("备注|类型|状态|分类|说明|部门|等级|主题")
MARKS_ZH = (("是", "否"), ("有", "无"), ("合格", "不合格"), ("已完成", "进行中"), ("优", "良", "中"))
TITLES_ZH = _listed(
    """{a}统计表|{a}一览表|{city}{a}表|{year}年{a}|{a}清单|{a}{b}表|{a}情况|表{n} {a}|{year}年{a}统计"""
)
