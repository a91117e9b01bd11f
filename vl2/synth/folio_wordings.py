"""How people ask about the pages of vl2.synth.folio, in English and in Chinese; shared by both splits.

Slots: {label} what a value is called on the page, {value} the value, {keys} the keys of a JSON answer.
"""


def _listed(block: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in block.replace("\n", "|").split("|"))


VALUE = _listed(
    """What is the {label}?|what's the {label}|Tell me the {label}.|Find the {label}.|What does it say for {label}?
    {label}?|Read the {label}.|Which {label} is given?|Give the {label}.|please extract the {label}
    What is written next to {label}?|Can you tell me the {label}?|What is the {label} in this document?
    I need the {label}.|What {label} is shown?|Look up the {label}."""
)
VALUE_ZH = _listed(
    """{label}是什么？|{label}是多少？|请问{label}是什么？|告诉我{label}|{label}写的是什么？|图中的{label}是什么？|请读出{label}。
    查一下{label}|{label}？|文件中的{label}是？|请提取{label}。|找出{label}的内容。
    What is the {label}?|上面的{label}是多少？
    帮我看看{label}"""
)
FIND = _listed(
    """the {label}|the value of the {label}|the {label}|the text "{value}"|"{value}"|where it says {value}|{label}
    the words "{value}"|the entry for {label}"""
)
FIND_ZH = _listed("{label}|{label}的值|“{value}”|文字“{value}”|写着“{value}”的地方|{label}的内容|the text “{value}”")
TEXT = _listed('the text "{value}"|"{value}"|where it says {value}|the cell with {value}|the words "{value}"')
TEXT_ZH = _listed("“{value}”|文字“{value}”|写着“{value}”的单元格|the text “{value}”")
JSON = _listed(
    """Extract as JSON: {keys}|Return {keys} as JSON.|Give me a JSON object with the keys {keys}.|JSON with {keys}
    Extract the following fields as JSON: {keys}.|Fill in this JSON: {keys}|Read the fields {keys} and answer in JSON.
    Please output {keys} in JSON format.|What are {keys}? Answer as JSON.|Key information as JSON ({keys})
    I need {keys} from this document as a JSON object.|Parse the document into JSON with these keys: {keys}"""
)
JSON_ZH = _listed(
    """请以JSON格式提取：{keys}|提取以下字段并输出JSON：{keys}|用JSON返回{keys}。|把{keys}整理成JSON。|请输出包含{keys}的JSON。
    读取{keys}，以JSON回答。|关键信息抽取（JSON）：{keys}|Extract as JSON: {keys}|请识别{keys}，结果用JSON表示。"""
)
READ = _listed(
    """Read all the text in the image.|What does the page say?|Transcribe this page.|OCR this document.
    Read the document from top to bottom.|Extract all the text.|please read the whole page|Write down all the text."""
)
READ_ZH = _listed(
    "读出图片中的全部文字。|识别整页文字。|把页面上的文字都写出来。|请读出这份文件。|提取全部文字|OCR this document."
)
MARKDOWN = _listed(
    """Convert the page to Markdown.|Convert this document to markdown.|Give me the page as Markdown.|page to markdown
    Write this page in Markdown, in reading order.|Transcribe the document as Markdown.|Please output Markdown.
    Turn the image into Markdown text.|What is the Markdown of this page?|Reproduce the page in Markdown.
    Parse the document and return Markdown.|Markdown, please"""
)
MARKDOWN_ZH = _listed(
    """把这一页转换成Markdown。|请用Markdown输出整页内容。|转成Markdown格式
    按阅读顺序输出Markdown。|Convert the page to Markdown.
    请将文档转换为Markdown。|用Markdown写出这份文件。"""
)
HTML = _listed(
    """Convert the table to HTML.|Give the table as HTML.|table to html
    Write this table in HTML.|HTML of the table, please
    Return the table as an HTML table with rowspan and colspan.
    Reproduce the table in HTML.|Output HTML for this table."""
)
HTML_ZH = _listed(
    "把表格转换成HTML。|请用HTML输出这个表格。|表格转HTML|以HTML格式写出表格。|Convert the table to HTML."
)
TABLE_MARKDOWN = _listed(
    """Convert the table to Markdown.|Give the table as Markdown.|table to markdown|Write this table in Markdown.
    Return a Markdown table.|Please output the table in Markdown.|Markdown of the table?"""
)
TABLE_MARKDOWN_ZH = _listed(
    """把表格转换成Markdown。|请用Markdown输出表格。|表格转Markdown
    以Markdown格式写出表格。|Convert the table to Markdown."""
)
