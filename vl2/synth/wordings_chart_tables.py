"""Wordings of questions that read a chart as a whole, in English and in Chinese; `vl2.synth.wordings` tells the manner.

Slots: {series} a legend entry, {along} "from left to right" or "from top to bottom", {axis} what the axis is.
The trap: most name the chart, since "as JSON in the chart" is no sentence.
"""

CHART_TABLE_WHOLES: dict[str, str] = {
    "chart.as_markdown": (
        "convert the chart to a Markdown table|give the data of the chart as a Markdown table|chart to Markdown table"
        "|read the chart as a Markdown table|extract the data behind this chart as a Markdown table"
        "|what are all the values of the chart, as a Markdown table|turn this graph into a Markdown table"
        "|write the chart's data as a table in Markdown|which table, in Markdown, was this chart drawn from"
        "|list all categories and values of the chart in a Markdown table|transcribe the chart into a Markdown table"
        "|give me the table behind the graph, in Markdown|make a Markdown table out of this chart"
        "|tabulate the chart in Markdown|output the plotted data as a Markdown table"
        "|i need all numbers of this chart in a Markdown table|show the data table of the graph (Markdown)"
    ),
    "chart.as_csv": (
        "convert the chart to CSV|give the data of the chart as CSV|chart to csv|extract the chart's data in CSV format"
        "|write the values of this graph as CSV|read the chart as comma-separated values"
        "|what would the CSV file behind this chart look like|turn the graph into CSV with a header line"
        "|output all categories and values of the chart as CSV|transcribe the chart into CSV"
        "|i need the numbers of this chart as CSV|write a CSV file of the plotted data"
        "|give me a CSV of the chart with every series|from chart to CSV, with all values"
        "|list the data of the graph line by line as CSV|make a CSV table of what the chart shows"
    ),
    "chart.as_json": (
        "convert the chart to JSON|give the data of the chart as JSON|chart as json|extract the chart's values as JSON"
        "|write the values of this graph as a JSON object|read the chart and answer in JSON"
        "|what does the chart's data look like in JSON|turn the graph into JSON"
        "|output all categories and values of the chart as JSON|transcribe the chart into JSON"
        "|i need the numbers of this chart as JSON|write a JSON object with the plotted data"
        "|give me JSON with every category of the chart and its value"
        "|map each category of the chart to its value, in JSON"
        "|return the graph's data in JSON format|make a JSON object of what the chart shows"
    ),
    "chart.list": (
        "list the values of the chart {along}|list all values {along}, separated by commas|read all values {along}"
        "|what are the values {along}|which values does the chart show {along}|give me every value {along}"
        "|all values of the chart, {along}|read the numbers of the graph one after another {along}"
        "|write down the value of each category {along}|what values does the graph show {along}"
        "|give the values {along} as a list with commas|name the value of every category in order {along}"
        "|go through the chart {along} and list the values|i need all values {along}, comma separated"
        "|report the data values {along}|values {along}"
    ),
    "chart.list_series": (
        "list the values of {series} {along}|list all values of {series} {along}, separated by commas"
        "|read all values of {series} {along}|what are the values of {series} {along}"
        "|which values does {series} have {along}|give me every value of {series} {along}"
        "|all values of {series}, {along}|read the series {series} one value after another {along}"
        "|write down the value of {series} for each category {along}"
        "|what values does the chart show for {series} {along}"
        "|give the values of {series} {along} as a list with commas|name the {series} value of every category {along}"
        "|go through the chart {along} and list the values of {series}"
        "|i need all {series} values {along}, comma separated"
        "|report the data of the series {series} {along}|{series}: values {along}"
    ),
    "chart.tick_labels": (
        "what are the tick labels of the {axis}|list the tick labels of the {axis}|which numbers stand along the {axis}"
        "|read the numbers on the {axis}|which values are written at the ticks of the {axis}"
        "|list the numbers of the {axis} from lowest to highest|what numbers are printed along the {axis}"
        "|give all tick labels of the {axis}, separated by commas|write out the scale of the {axis}"
        "|name the labelled values of the {axis} in ascending order|which numbers label the {axis}"
        "|read the scale of the {axis}|tick labels of the {axis}|what does the scale of the {axis} say"
        "|copy the numbers beside the {axis}, lowest first|list every number on the {axis}"
    ),
    "chart.tick_ends": (
        "what are the lowest and the highest tick label of the {axis}"
        "|between which two numbers do the labels of the {axis} run"
        "|which are the first and the last number on the {axis}|what is the range of tick labels on the {axis}"
        "|give the lowest and the highest number on the {axis}"
        "|with which numbers do the labels of the {axis} start and end"
        "|read the smallest and the largest tick label of the {axis}"
        "|from which number to which do the ticks of the {axis} go"
        "|lowest and highest label of the {axis}|name the two ends of the scale of the {axis}"
        "|what are the smallest and the largest number written on the {axis}"
        "|which numbers are at the two ends of the {axis}|tell me the minimum and the maximum label of the {axis}"
        "|what are the end labels of the {axis}|what is the span of the {axis}, lowest and highest label"
    ),
    "chart.tick_step": (
        "what is the step between the ticks of the {axis}|how far apart are the ticks of the {axis}"
        "|by how much do the tick labels of the {axis} grow|what is the interval between the numbers on the {axis}"
        "|how large is one step of the {axis}|what is the difference between two neighbouring ticks of the {axis}"
        "|in steps of what does the {axis} count|step of the {axis}|give the tick interval of the {axis}"
        "|how much is it from one tick to the next on the {axis}|what is the spacing of the ticks on the {axis}"
        "|which increment does the {axis} use|how big is the gap between tick labels on the {axis}"
        "|read the distance between ticks of the {axis}|by what amount do the numbers on the {axis} increase"
    ),
}
# Whose answers no hint may call short.
LONG_ANSWERS = frozenset(CHART_TABLE_WHOLES) - {"chart.tick_step"}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", "|").split("|"))


CHART_TABLES_ZH: dict[str, tuple[str, ...]] = {
    "as_markdown": _listed(
        """把图表转换成Markdown表格。|用Markdown表格列出图中的数据。|图表转Markdown表格|请提取图表数据，输出Markdown表格。
        以Markdown表格的形式给出图表的全部数据。|请把这张图还原成Markdown表格。|读取图表，写成Markdown表格。
        图中所有数值是多少？请用Markdown表格回答。|把图里的类别和数值整理成Markdown表格。|图表背后的数据表是什么？用Markdown写出。
        生成这张图的Markdown数据表。|请将图表数据制成Markdown表格|把所有类别和系列的数值写成Markdown表格。"""
    ),
    "as_csv": _listed(
        """把图表转换成CSV。|以CSV格式输出图表数据。|图表转CSV|请提取图表数据，输出CSV。|把图中的数据写成CSV。
        用CSV列出所有类别和数值。|请将这张图还原成CSV数据。|读取图表，用逗号分隔的形式写出数据。|图表背后的CSV是什么？
        把图里的全部数值整理成CSV。|生成这张图的CSV数据，带表头。|给出图表数据的CSV格式|请用CSV回答：图中有哪些数据？"""
    ),
    "as_json": _listed(
        """把图表转换成JSON。|以JSON格式输出图表数据。|图表数据提取为JSON。|图表转JSON|请提取图表数据，输出JSON。
        把图中的数据写成JSON对象。|用JSON列出所有类别和数值。|请将这张图还原成JSON数据。|读取图表，用JSON回答。
        把图里的全部数值整理成JSON。|生成这张图的JSON数据。|给出图表数据的JSON格式|请用JSON写出每个类别的数值。"""
    ),
    "list": _listed(
        """{along}列出所有数值。|{along}的数值依次是多少？|请{along}读出图中的全部数值。|把数值{along}写出来，用逗号分隔。
        {along}各是多少？|请{along}依次写出每个类别的数值。|图中的数据{along}依次是什么？|{along}读数值
        按{along}的顺序列出数值。|所有数值，{along}排列。|请{along}报出每一项的数值。|{along}的全部数值是哪些？"""
    ),
    "list_series": _listed(
        """{along}列出{series}的所有数值。|{series}的数值{along}依次是多少？|请{along}读出{series}的全部数值。
        把{series}的数值{along}写出来，用逗号分隔。|{series}{along}各是多少？|请{along}依次写出{series}在每个类别的数值。
        {series}的数据{along}依次是什么？|{along}读{series}的数值|按{along}的顺序列出{series}的数值。
        {series}的所有数值，{along}排列。|请{along}报出{series}的每个数值。|系列{series}{along}的数值有哪些？"""
    ),
    "tick_labels": _listed(
        """{axis}上的刻度标签有哪些？|列出{axis}的刻度值。|{axis}上写着哪些数字？|请读出{axis}上的数字。|{axis}的刻度依次是多少？
        从小到大列出{axis}的刻度。|{axis}的刻度数值是什么？|把{axis}上的数字写出来，用逗号分隔。|{axis}标了哪些数值？
        请读出{axis}的刻度。|{axis}刻度值|{axis}从低到高的刻度是？"""
    ),
    "tick_ends": _listed(
        """{axis}的最小刻度和最大刻度是多少？|{axis}的刻度从多少到多少？|{axis}上的数字从几到几？|{axis}上最小和最大的数字是多少？
        {axis}刻度的起点和终点是多少？|请读出{axis}两端的刻度。|{axis}刻度的最低值和最高值是什么？|{axis}两端写着什么数字？
        {axis}的刻度范围|给出{axis}最低和最高的刻度标签。|{axis}的首尾刻度分别是多少？|{axis}上首末两个数字分别是多少？"""
    ),
    "tick_step": _listed(
        """{axis}的刻度间隔是多少？|{axis}每格是多少？|{axis}相邻两个刻度相差多少？|{axis}一格代表多少？|{axis}的步长是多少？
        {axis}上的数字每次增加多少？|请读出{axis}的刻度间距。|{axis}两个刻度之间差多少？|{axis}的单位刻度是多少？
        {axis}刻度的间隔|{axis}以多少为一个间隔？|{axis}的刻度每隔多少标一个？"""
    ),
}  # fmt: skip
AXES = {  # how people call the axis of values: of lying bars, of others, whatever its direction
    True: ("x axis", "x-axis", "horizontal axis", "value axis"),
    False: ("y axis", "y-axis", "vertical axis", "value axis"),
}
AXES_ZH = {True: ("横轴", "x轴", "数值轴"), False: ("纵轴", "y轴", "数值轴")}
