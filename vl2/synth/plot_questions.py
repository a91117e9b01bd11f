"""Questions about charts of real numbers: as in vl2.synth.chart_questions, charts as tables, scatter plots.

    Chart or Points, named boxes --about_chart, about_points--> questions, in English or in Chinese

The trap: a chart read as a table says each number as the chart writes it, or, where it writes none, as it can be read;
that question is the test split's alone.
"""

from vl2.processing.boxes import Box, Region
from vl2.synth.canvas import Rect
from vl2.synth.chart_content import COLOUR_ANSWERS, Chart
from vl2.synth.chart_questions import FIND_LEGEND, FIND_TITLE, chart_questions, plain
from vl2.synth.chart_tables import table_of, written
from vl2.synth.langs import Language
from vl2.synth.plot_content import Boxes, Points
from vl2.synth.sample import Question
from vl2.synth.values import chance, pick
from vl2.synth.wordings import ask
from vl2.synth.wordings_charts_zh import CHART_FIND_ZH, CHART_ZH, COLOURS_ZH

_MOST = 420  # characters of a chart that is read as a whole
_MARKDOWN = (
    "Convert the chart to a Markdown table.", "Give the data of the chart as a table.", "chart to table",
    "Read the chart as a Markdown table.", "Extract the data behind this chart as Markdown.",
    "What are all the values? Answer as a Markdown table.", "Turn this figure into a Markdown table.",
)  # fmt: skip
_CSV = ("Convert the chart to CSV.", "Give the data as CSV.", "chart to csv", "Extract the chart's data in CSV format.")
_JSON = (
    "Convert the chart to JSON.",
    "Give the data of the chart as JSON.",
    "chart as json",
    "Extract the values as JSON.",
)
_MARKDOWN_ZH = (
    "把图表转换成Markdown表格。",
    "用Markdown表格列出图中的数据。",
    "图表转表格",
    "请提取图表数据，输出Markdown表格。",
)
_CSV_ZH = ("把图表转换成CSV。", "以CSV格式输出图表数据。", "图表转CSV")
_JSON_ZH = ("把图表转换成JSON。", "以JSON格式输出图表数据。", "图表数据提取为JSON。")
_WHOLES = (  # draws below a number, form, wordings
    (0.6, "markdown", (_MARKDOWN, _MARKDOWN_ZH)),
    (0.8, "csv", (_CSV, _CSV_ZH)),
    (1.0, "json", (_JSON, _JSON_ZH)),
)
_SCATTER = ("scatter plot", "scatter", "scatter chart", "scatterplot")
_SCATTER_ZH = ("散点图",)
_BOXES = ("box plot", "boxplot", "box-and-whisker plot", "box and whisker plot", "box chart")
_BOXES_ZH = ("箱线图", "箱形图", "盒须图")
_MEDIAN = (
    "What is the median of {x}?", "What is the median for {x}?", "median of {x}?", "Read the median of {x}.",
    "Where is the middle line of the box of {x}?", "How high is the median for {x}?",
)  # fmt: skip
_MEDIAN_ZH = ("{x}的中位数是多少？", "{x}的中位数？", "请读出{x}的中位数。", "{x}的箱体中线在多少？")
_MOST_OF = ("What is the maximum of {x}?", "Where does the upper whisker of {x} end?", "largest value of {x}?")
_MOST_OF_ZH = ("{x}的最大值是多少？", "{x}的上须到多少？", "{x}最大是多少？")
_BOX_OF = ("the box for {x}", "the box of {x}", "{x}'s box", "the box above {x}")
_BOX_OF_ZH = ("{x}的箱体", "表示{x}的箱体", "{x}对应的箱子")
_HIGHEST = ("Which has the highest median?", "Which box has the highest median?", "What has the largest median?")
_HIGHEST_ZH = ("哪个的中位数最高？", "中位数最大的是哪个？")
_LOWEST = ("Which has the lowest median?", "Which box has the lowest median?", "What has the smallest median?")
_LOWEST_ZH = ("哪个的中位数最低？", "中位数最小的是哪个？")
_POINTS = (
    "How many points does {g} have?", "How many {g} points are drawn?", "Count the points of {g}.",
    "number of {g} points?",
)  # fmt: skip
_POINTS_ZH = ("{g}有几个点？", "图中有多少个{g}的点？", "{g}的点数是多少？")
_ALL_POINTS = ("How many points are in the plot?", "How many dots are there?", "Count the points.", "number of points?")
_ALL_POINTS_ZH = ("图中一共有几个点？", "有多少个点？", "数一数点的个数。")
_TOP = (
    "Which group has the point with the highest {y}?", "Which group reaches the highest {y}?",
    "The topmost point belongs to which group?",
)  # fmt: skip
_TOP_ZH = ("最高的点属于哪一组？", "{y}最大的点属于哪个组？", "最上面的点是哪一组的？")


def about_chart(lang: Language, chart: Chart, regions: dict[str, Rect]) -> list[Question]:
    """Up to 20 questions."""
    asked = chart_questions(lang.rng, chart, regions)[:19]
    if chance(lang.rng, 0.5):
        made = _whole(lang, chart)
        # training asks for it in more words and of more charts (vl2.synth.chart_tables); what is measured stays
        if len(made.answers[0]) <= _MOST and lang.split == "test":
            asked.append(made)
    return list({question.text: question for question in asked}.values())


def _whole(lang: Language, chart: Chart) -> Question:
    """Read the whole chart as Markdown, CSV or JSON."""
    draw = lang.rng.random()
    form, wordings = next((form, wordings) for most, form, wordings in _WHOLES if draw < most)
    text = written(table_of(chart), form, nested=bool(chart.series))
    return Question("convert", lang.choose(*wordings), (text,), "cer")


def about_points(lang: Language, plot: Points, regions: dict[str, Rect]) -> list[Question]:
    """Axes, groups, colours, numbers of points."""
    rng = lang.rng

    def say(kind: str, **slots: str) -> str:
        return pick(rng, CHART_ZH[kind]).format(**slots) if lang.zh else ask(rng, f"chart.{kind}", **slots)

    asked = [
        Question("ask", say("x_label"), (plot.x_label,)),
        Question("ask", say("y_label"), (plot.y_label,)),
        Question("ask", say("kind"), _SCATTER_ZH if lang.zh else _SCATTER, "exact"),
    ]
    if plot.title:
        asked.append(Question("ask", say("title"), (plot.title,)))
        phrase = pick(rng, CHART_FIND_ZH["title"] if lang.zh else FIND_TITLE)
        asked.append(_found(phrase, regions["title"]))
    if len(plot.groups) > 1:
        asked.append(Question("ask", say("num_series"), (str(len(plot.groups)),), "exact"))
        tops = [max(y for _, y in group) for group in plot.points]
        if tops.count(max(tops)) == 1:
            text = lang.choose(_TOP, _TOP_ZH).format(y=plot.y_label)
            asked.append(Question("ask", text, (plot.groups[tops.index(max(tops))],), "exact"))
        worded = all(word for word, _ in plot.colours)
        for number, (name, (word, _)) in enumerate(zip(plot.groups, plot.colours, strict=True)):
            phrase = pick(rng, CHART_FIND_ZH["legend"] if lang.zh else FIND_LEGEND).format(x=name)
            asked.append(_found(phrase, regions[f"legend {number}"]))
            if worded:
                answers = (COLOURS_ZH[word],) if lang.zh else COLOUR_ANSWERS.get(word, (word,))
                asked.append(Question("ask", say("color_of", series=name, mark="point"), answers, "exact"))
                shown = COLOURS_ZH[word] if lang.zh else word
                asked.append(Question("ask", say("series_of", color=shown, mark="point"), (name,), "exact"))
            if len(plot.points[number]) < 9 and _apart(plot.points[number]):
                text = lang.choose(_POINTS, _POINTS_ZH).format(g=name)
                asked.append(Question("ask", text, (str(len(plot.points[number])),), "exact"))
    elif len(plot.points[0]) < 13 and _apart(plot.points[0]):
        asked.append(Question("ask", lang.choose(_ALL_POINTS, _ALL_POINTS_ZH), (str(len(plot.points[0])),), "exact"))
    kept = [asked[i] for i in rng.permutation(len(asked))[:18].tolist()]
    return list({question.text: question for question in kept}.values())


def about_boxes(lang: Language, plot: Boxes, regions: dict[str, Rect]) -> list[Question]:
    """Medians and largest values, which is highest, labels, places."""
    rng, chart = lang.rng, plot.chart

    def say(kind: str, **slots: str) -> str:
        if lang.zh:
            return pick(rng, CHART_ZH[kind]).format(mark="箱体", **slots)
        return ask(rng, f"chart.{kind}", mark="box", **slots)

    asked = [
        Question("ask", say("y_label"), (chart.value_label,)),
        Question("ask", say("kind"), _BOXES_ZH if lang.zh else _BOXES, "exact"),
        Question("ask", say("count"), (str(len(chart.categories)),), "exact"),
    ]
    if chart.title:
        asked.append(Question("ask", say("title"), (chart.title,)))
    if chart.category_label:
        asked.append(Question("ask", say("x_label"), (chart.category_label,)))
    medians = list(chart.values[0])
    for c, name in enumerate(chart.categories):
        text = lang.choose(_MEDIAN, _MEDIAN_ZH).format(x=name)
        asked.append(Question("ask", text, plain(chart, medians[c]), "relaxed_accuracy"))
        text = lang.choose(_MOST_OF, _MOST_OF_ZH).format(x=name)
        asked.append(Question("ask", text, plain(chart, float(plot.numbers_C5[c, 4])), "relaxed_accuracy"))
        phrase = lang.choose(_BOX_OF, _BOX_OF_ZH).format(x=name)
        asked.append(_found(phrase, regions[f"value 0 {c}"]))
    for best, wordings in ((max, (_HIGHEST, _HIGHEST_ZH)), (min, (_LOWEST, _LOWEST_ZH))):
        if medians.count(best(medians)) == 1:
            name = chart.categories[medians.index(best(medians))]
            asked.append(Question("ask", lang.choose(*wordings), (name,), "exact"))
    kept = [asked[i] for i in rng.permutation(len(asked))[:18].tolist()]
    return list({question.text: question for question in kept}.values())


def _apart(points: tuple[tuple[float, float], ...]) -> bool:
    """Whether no two points hide each other."""
    wide = max(x for x, _ in points) - min(x for x, _ in points) or 1.0
    tall = max(y for _, y in points) - min(y for _, y in points) or 1.0
    return all(
        abs(a[0] - b[0]) / wide + abs(a[1] - b[1]) / tall > 0.08 for i, a in enumerate(points) for b in points[:i]
    )


def _found(phrase: str, box: Rect) -> Question:
    return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))
