"""Wordings of questions about bar, line and pie charts; `vl2.synth.wordings` says how they are put together.

Slots: {cat} a category, {series} a legend entry, {a} and {b} two categories, {value} a number, {mark} bar, point or
slice, {unit} what is measured. The trap: a kind with {series} is asked only of charts that have a legend.
"""

# kind -> noun phrases, to be put into a carrier sentence
CHART_NOUNS: dict[str, str] = {
    "chart.value": (
        "the value of {cat}|the value for {cat}|the value of the {mark} {cat}|the number for {cat}"
        "|the {unit} of {cat}|the {unit} for {cat}|the {unit} in {cat}|the height of the {mark} for {cat}"
        "|the value at {cat}|the figure for {cat}|the amount for {cat}"
    ),
    "chart.value_series": (
        "the value of {series} for {cat}|the {series} value in {cat}|the value of {series} in {cat}"
        "|the number of {series} for {cat}|{series} in {cat}|the {series} {mark} at {cat}"
        "|the value for {cat} of the {series} series|the {unit} of {series} for {cat}"
    ),
    "chart.share": (
        "the share of {cat}|the percentage of {cat}|the percentage for {cat}|the value of {cat}"
        "|the proportion of {cat}|the size of the {cat} slice|the part that belongs to {cat}|the percent of {cat}"
    ),
    "chart.highest": (
        "the category with the highest value|the highest {mark}|the {mark} with the largest value"
        "|the biggest category|the category with the most {unit}|the label of the highest {mark}"
        "|the one with the maximum {unit}|the largest {mark}"
    ),
    "chart.lowest": (
        "the category with the lowest value|the lowest {mark}|the {mark} with the smallest value"
        "|the smallest category|the category with the least {unit}|the label of the lowest {mark}"
        "|the one with the minimum {unit}|the smallest {mark}"
    ),
    "chart.highest_series": (
        "the series with the highest value in {cat}|the series that is highest for {cat}|the largest series in {cat}"
        "|the one with the most {unit} in {cat}|the legend entry with the biggest value at {cat}"
    ),
    "chart.max": (
        "the highest value|the maximum value|the largest value|the value of the highest {mark}"
        "|the highest number reached|the peak value|the maximum"
    ),
    "chart.min": (
        "the lowest value|the minimum value|the smallest value|the value of the lowest {mark}"
        "|the lowest number reached|the minimum"
    ),
    "chart.title": (
        "the title|the title of the chart|the chart title|the heading|the title of this graph"
        "|the heading above the chart|the name of the chart"
    ),
    "chart.count": (
        "the number of {mark}s|the number of categories|the count of {mark}s|the number of different categories"
        "|the amount of {mark}s"
    ),
    "chart.num_series": (
        "the number of series|the number of legend entries|the number of colours in the legend"
        "|the number of groups in the legend"
    ),
    "chart.x_label": (
        "the label of the x axis|the x-axis label|the label of the horizontal axis|the x axis title"
        "|the title of the horizontal axis|the text below the x axis|the name of the x-axis"
    ),
    "chart.y_label": (
        "the label of the y axis|the y-axis label|the label of the vertical axis|the y axis title"
        "|the title of the vertical axis|the text beside the y axis|the name of the y-axis"
    ),
    "chart.color_of": (
        "the colour of {series}|the color of {series}|the color used for {series}"
        "|the colour that stands for {series}|the colour of the {series} {mark}|the legend color of {series}"
        "|the {series} color"
    ),
    "chart.series_of": (
        "the series drawn in {color}|the label of the {color} {mark}|the legend entry for {color}"
        "|the name of the {color} series|the {color} category|the meaning of the {color} colour"
    ),
    "chart.difference": (
        "the difference between {a} and {b}|the gap between {a} and {b}|the difference of {a} and {b}"
        "|the absolute difference between {a} and {b}|the distance between the values of {a} and {b}"
    ),
    "chart.category_of": (
        "the category with the value {value}|the {mark} with a value of {value}|the category whose value is {value}"
        "|the label of the {mark} at {value}|the one that has {value}|the {mark} that reaches {value}"
    ),
    "chart.bigger": (
        "the larger of {a} and {b}|the higher one of {a} and {b}|the bigger one, {a} or {b}|the greater of {a} and {b}"
    ),
    "chart.kind": "the type of chart|the kind of chart|the chart type|the kind of graph|the sort of diagram",
    "chart.first": (
        "the first category|the leftmost or topmost category|the first label on the category axis"
        "|the first {mark}'s label"
    ),
    "chart.last": "the last category|the last label on the category axis|the last {mark}'s label|the final category",
    "chart.sum": (
        "the sum of {a} and {b}|the total of {a} and {b}|{a} and {b} added together"
        "|the combined value of {a} and {b}|the sum of the values of {a} and {b}"
    ),
}

# kind -> whole questions of its own
CHART_WHOLES: dict[str, str] = {
    "chart.value": (
        "how much is {cat}|how high is {cat}|what value does {cat} have|how much does {cat} have"
        "|how many {unit} does {cat} have|what number does {cat} show|how high is the {mark} for {cat}"
        "|what does {cat} reach|what is {cat} at|what's the level of {cat}|how large is {cat}"
    ),
    "chart.value_series": (
        "how much is {series} in {cat}|what value does {series} have at {cat}|how high is {series} for {cat}"
        "|for {cat}, what is {series}|what is {series} at {cat}|how many does {series} have in {cat}"
        "|what does {series} reach in {cat}|in {cat}, how much is {series}"
        "|look at {cat}: what is the value of {series}|what number does {series} show for {cat}"
    ),
    "chart.share": (
        "what percentage is {cat}|how many percent is {cat}|what share does {cat} have|how big is {cat}"
        "|how large is the slice of {cat}|how much is {cat}|what part is {cat}|how much does {cat} make up"
        "|what percent does {cat} take|what fraction in percent belongs to {cat}"
    ),
    "chart.highest": (
        "which is the highest|which category is the highest|which {mark} is the highest|which has the largest value"
        "|what is the largest|which one is the biggest|which category has the most {unit}|where is the maximum"
        "|which category leads|what has the highest {unit}|which {mark} is the largest|who has the most"
    ),
    "chart.lowest": (
        "which is the lowest|which category is the lowest|which {mark} is the lowest|which has the smallest value"
        "|what is the smallest|which one is the smallest|which category has the least {unit}|where is the minimum"
        "|which category is last|what has the lowest {unit}|which {mark} is the smallest|who has the least"
    ),
    "chart.highest_series": (
        "which series is highest in {cat}|which one is the highest for {cat}|what is the largest in {cat}"
        "|which has the biggest value at {cat}|which series leads in {cat}|in {cat}, which is the highest"
        "|at {cat}, which series is on top|who has the most in {cat}|which colour's series is largest in {cat}"
        "|for {cat}, which series has the highest {mark}"
    ),
    "chart.max": (
        "how high is the highest {mark}|what is the highest value reached|what is the maximum of the chart"
        "|how much is the largest {mark}|what does the highest {mark} show|how large is the largest value"
        "|what is the greatest value|what is the top value|how high does it go"
        "|what value does the biggest {mark} have"
    ),
    "chart.min": (
        "how low is the lowest {mark}|what is the lowest value reached|what is the minimum of the chart"
        "|how much is the smallest {mark}|what does the lowest {mark} show|how small is the smallest value"
        "|what is the least value|how low does it go|what value does the smallest {mark} have"
        "|what is the bottom value"
    ),
    "chart.title": (
        "what is the chart about|what is the chart called|what does the title say|how is the chart titled"
        "|what is written above the chart|what does this graph show|which title does the chart have"
        "|what is it called|what does the heading say|what's the topic of the chart"
    ),
    "chart.count": (
        "how many {mark}s are there|how many categories are shown|how many {mark}s do you see|count the {mark}s"
        "|how many categories are there|how many {mark}s does it have|how many different categories"
        "|how many {mark}s are drawn|how many {mark}s|how many categories can you count"
    ),
    "chart.num_series": (
        "how many series are there|how many entries does the legend have|how many colours are used"
        "|how many groups are compared|how many things does the legend list|how many series does the legend show"
        "|how many different colors are there|count the legend entries|how many data series are plotted"
        "|how many items are in the legend|how many lines are in the legend"
    ),
    "chart.x_label": (
        "what is on the x axis|what does the x axis show|what is the x axis labelled"
        "|what does the horizontal axis say|what is written under the x axis|how is the x-axis labelled"
        "|what stands on the horizontal axis|what does the x axis represent|what is the horizontal axis called"
        "|which label does the x axis have"
    ),
    "chart.y_label": (
        "what is on the y axis|what does the y axis show|what is the y axis labelled|what does the vertical axis say"
        "|what is written along the y axis|how is the y-axis labelled|what stands on the vertical axis"
        "|what does the y axis represent|what is the vertical axis called|which label does the y axis have"
    ),
    "chart.color_of": (
        "what color is {series}|which colour is {series}|what colour stands for {series}"
        "|in which color is {series} drawn|which color represents {series}|what color is used for {series}"
        "|what colour does {series} have|how is {series} coloured|{series} has what color"
        "|what is {series} painted in"
    ),
    "chart.series_of": (
        "what is shown in {color}|which one is {color}|what does {color} stand for|which series is {color}"
        "|what does the {color} colour mean|which category is {color}|what is the {color} {mark}"
        "|what does the {color} {mark} represent|who is {color}|which label belongs to {color}"
    ),
    "chart.difference": (
        "how much more or less is {a} than {b}|by how much do {a} and {b} differ|how far apart are {a} and {b}"
        "|how big is the difference between {a} and {b}|what is the gap between {a} and {b}"
        "|how different are {a} and {b}|what separates {a} from {b} in value|{a} and {b} differ by how much"
        "|how large is the gap from {a} to {b}|what do you get if you compare {a} with {b}, as a difference"
    ),
    "chart.category_of": (
        "which category has the value {value}|what has a value of {value}|which {mark} is at {value}"
        "|which one shows {value}|which {mark} reaches {value}|who has {value}"
        "|{value} is the value of which category|which category stands at {value}|for which category is it {value}"
        "|which label goes with {value}"
    ),
    "chart.bigger": (
        "which is larger, {a} or {b}|which is higher, {a} or {b}|is {a} or {b} bigger"
        "|which one is greater: {a} or {b}|who has more, {a} or {b}|which has the higher value, {a} or {b}"
        "|{a} or {b}, which is more|which of {a} and {b} is larger|between {a} and {b}, which is higher"
        "|what is more, {a} or {b}|does {a} or {b} have more"
    ),
    "chart.kind": (
        "what kind of chart is this|what type of chart is it|which kind of graph is this"
        "|what sort of diagram is shown|is this a bar, line or pie chart|what type of graph is this"
        "|which type of chart is used|how is the data drawn, as what chart|what chart type do you see"
        "|what kind of diagram is it|what is this chart's type"
    ),
    "chart.first": (
        "which category comes first|what is the first label|which {mark} is first|which category is listed first"
        "|with which category does it start|what is the first {mark} called|what is the first category called"
        "|which label is first|where does the chart start|which one is the first {mark}|what comes first"
    ),
    "chart.last": (
        "which category comes last|what is the last label|which {mark} is last|which category is listed last"
        "|with which category does it end|what is the last {mark} called|what is the last category called"
        "|which label is last|where does the chart end|which one is the last {mark}|what comes last"
    ),
    "chart.sum": (
        "how much are {a} and {b} together|what do {a} and {b} add up to|how much is {a} plus {b}"
        "|what is {a} plus {b}|how much do {a} and {b} have together|what is the total for {a} and {b}"
        "|add {a} and {b}|what do you get when you add {a} and {b}|how much in all for {a} and {b}"
        "|{a} and {b} make how much"
    ),
}
