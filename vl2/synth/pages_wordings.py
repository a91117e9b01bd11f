"""How people ask about documents of several pages, in English and in Chinese; shared by both splits.

Slots: {n}, {m} numbers of pages, {x} a label, a heading or an item.
"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", "|").split("|"))


WORDINGS: dict[str, tuple[str, ...]] = {
    "count": _listed(
        """How many pages does the document have?|how many pages are there|What is the number of pages?|Count the pages.
        How long is this document in pages?|number of pages?"""
    ),
    "title_of": _listed(
        """What is the heading of page {n}?|What is page {n} called?|title of page {n}?|What is page {n} headed?
        Read the title of page {n}.|Which heading does page {n} have?"""
    ),
    "page_of_title": _listed(
        """Which page is headed "{x}"?|On which page is the heading {x}?|what page is {x} on
        On what page does "{x}" begin?|Find the page with the title {x}. Which number is it?"""
    ),
    "value_on": _listed(
        """What is the {x} on page {n}?|{x} on page {n}?|Which {x} is given on page {n}?|Read the {x} of page {n}.
        On page {n}, what is the {x}?|Tell me the {x} that stands on page {n}.|what does page {n} say for {x}"""
    ),
    "value": _listed(
        """What is the {x}?|{x}?|Find the {x} in the document.|Look through the pages: what is the {x}?|Tell me the {x}.
        Which {x} is given in this document?|I need the {x}."""
    ),
    "page_of": _listed(
        """On which page is the {x}?|Which page gives the {x}?|where is the {x}, on what page
        On what page do I find the {x}?|Which page has the {x}?|The {x} is on which page?"""
    ),
    "price": _listed("How much is {x}?|What does {x} cost?|price of {x}?"),
    "page_of_item": _listed(
        "On which page is {x} listed?|Which page lists {x}?|what page is {x} on|On what page do I find {x}?"
    ),
    "highest": _listed(
        """Which page has the highest {x}?|On which page is the {x} the largest?|page with the highest {x}?
        Compare the pages: which has the greatest {x}?"""
    ),
    "higher": _listed(
        """Is the {x} on page {n} higher than on page {m}?|Is the {x} of page {n} larger than that of page {m}?
        Does page {n} have a higher {x} than page {m}?|is {x} greater on page {n} than on page {m}"""
    ),
    "find": _listed("the {x} on the last page|the {x}, last page|where the last page gives the {x}"),
    "markdown": _listed(
        """Convert page {n} to Markdown.|page {n} as markdown|Give me page {n} as Markdown.
        Transcribe page {n} as Markdown.|Write page {n} in Markdown, in reading order.|Turn page {n} into Markdown."""
    ),
}
WORDINGS_ZH: dict[str, tuple[str, ...]] = {
    "count": _listed("这份文件一共有几页？|文件共多少页？|有几页？|页数是多少？"),
    "title_of": _listed("第{n}页的标题是什么？|第{n}页叫什么？|请读出第{n}页的标题。|第{n}页的大标题写的是什么？"),
    "page_of_title": _listed("标题“{x}”在第几页？|哪一页的标题是{x}？|“{x}”是第几页的标题？"),
    "value_on": _listed("第{n}页的{x}是多少？|第{n}页上{x}写的是什么？|请读出第{n}页的{x}。|{x}在第{n}页是多少？"),
    "value": _listed("{x}是多少？|{x}是什么？|请在文件中找出{x}。|文件里的{x}是？|告诉我{x}"),
    "page_of": _listed("{x}在第几页？|哪一页有{x}？|{x}写在哪一页？|在第几页能找到{x}？"),
    "price": _listed("{x}多少钱？|{x}的价格是多少？|请查一下{x}的价格。"),
    "page_of_item": _listed("{x}列在第几页？|哪一页有{x}？|{x}在哪一页？"),
    "highest": _listed("哪一页的{x}最高？|{x}最大的是第几页？|比较各页，哪一页的{x}最大？"),
    "higher": _listed("第{n}页的{x}比第{m}页高吗？|第{n}页的{x}是否大于第{m}页？|{x}在第{n}页比第{m}页大吗？"),
    "find": _listed("最后一页的{x}|最后一页上{x}的值|最后一页写着{x}的内容"),
    "markdown": _listed("把第{n}页转换成Markdown。|请用Markdown输出第{n}页。|第{n}页转Markdown"),
}
