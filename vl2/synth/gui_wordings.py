"""How people name parts of a program's window, in English and Chinese; shared by both splits. {name}: what it says."""


def _listed(block: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in block.replace("\n", "|").split("|"))


FIND: dict[str, tuple[str, ...]] = {
    "button": _listed(
        "the {name} button|the button {name}|{name} button|click {name}|the button that says {name}|"
        "the \"{name}\" button|press {name}|{name}"
    ),
    "icon": _listed(
        "the {name} icon|the icon with the {name}|the button with the {name}|the {name} button|the {name} symbol|"
        "click the {name} icon"
    ),
    "menu": _listed(
        "the menu entry {name}|{name} in the menu|the {name} link|open {name}|the navigation item {name}|"
        "the {name} menu item|go to {name}"
    ),
    "tab": _listed("the {name} tab|the tab {name}|switch to the {name} tab|the tab labelled {name}"),
    "input": _listed(
        "the {name} field|the input for {name}|the text box {name}|where to enter the {name}|the {name} input|"
        "type into {name}"
    ),
    "search": _listed("the search field|the search box|where to type a search|the search bar|the search input"),
    "checkbox": _listed(
        "the checkbox {name}|the {name} checkbox|the tick box for {name}|tick {name}|the box next to {name}"
    ),
    "switch": _listed(
        "the switch {name}|the {name} toggle|turn {name} on or off|the toggle for {name}|the switch next to {name}"
    ),
    "title": _listed("the heading|the page title|the title {name}|the heading {name}|the headline"),
    "title of the dialogue": _listed("the title of the dialog|the heading {name}|the dialog title {name}"),
    "brand": _listed("the name of the site|the logo text {name}|{name} at the top|the brand name"),
    "cell": _listed("the row entry {name}|{name} in the table|the cell {name}|the text {name}"),
    "row link": _listed("the {name} link of {row}|{name} in the row of {row}|{name} {row}|the link {name} for {row}"),
    "price": _listed("the price of {name}|the price for {name}|what {name} costs|how much {name} is"),
    "picture": _listed("the picture of the {name}|the {name}|the image of a {name}|the {name} picture"),
    "mail": _listed(
        "the message from {name}|the entry of {name}|open the message of {name}|the row with {name}|"
        "the mail from {name}"
    ),
    "figure": _listed("the number for {name}|the value of {name}|the figure under {name}|the {name} value"),
    "other": _listed("{name}|the {name}"),
}  # fmt: skip
FIND_ZH: dict[str, tuple[str, ...]] = {
    "button": _listed("“{name}”按钮|{name}按钮|点击{name}|写着{name}的按钮|按下{name}"),
    "icon": _listed("{name}图标|{name}按钮|画着{name}的图标|点击{name}图标"),
    "menu": _listed("菜单项{name}|菜单中的{name}|打开{name}|导航里的{name}|进入{name}"),
    "tab": _listed("{name}标签页|“{name}”选项卡|切换到{name}"),
    "input": _listed("{name}输入框|填写{name}的地方|{name}一栏|输入{name}的文本框"),
    "search": _listed("搜索框|搜索栏|输入关键词的地方"),
    "checkbox": _listed("{name}复选框|勾选{name}|{name}前面的方框"),
    "switch": _listed("{name}开关|打开或关闭{name}|{name}旁边的开关"),
    "title": _listed("页面标题|标题{name}|大标题"),
    "title of the dialogue": _listed("对话框的标题|对话框标题{name}"),
    "brand": _listed("网站名称|顶部的{name}|品牌名称"),
    "cell": _listed("表格中的{name}|单元格{name}|文字{name}"),
    "row link": _listed("{row}一行的{name}|{row}的{name}链接"),
    "price": _listed("{name}的价格|{name}的售价"),
    "picture": (),
    "mail": _listed("{name}的消息|来自{name}的邮件|{name}那一行"),
    "figure": _listed("{name}的数值|{name}下面的数字"),
    "other": _listed("{name}"),
}
ICONS_ZH = {
    "gear": "齿轮", "magnifying glass": "放大镜", "house": "房子", "bell": "铃铛", "heart": "爱心",
    "trash can": "垃圾桶",
    "pencil": "铅笔", "envelope": "信封", "download icon": "下载", "upload icon": "上传", "refresh icon": "刷新",
    "calendar": "日历",
    "camera": "相机", "printer": "打印机", "padlock": "锁", "person": "人像", "shopping cart": "购物车",
    "filter": "筛选",
    "folder": "文件夹", "location pin": "定位", "microphone": "麦克风", "phone": "电话", "question mark": "问号",
    "sun": "太阳",
    "crescent moon": "月亮", "paper clip": "回形针", "credit card": "信用卡", "flag": "旗子", "key": "钥匙",
    "gift": "礼物",
    "cloud": "云", "check mark": "对勾",
}  # fmt: skip
IS_ON = _listed(
    """Is {name} on?|Is {name} turned on?|Is {name} enabled?|is {name} checked
    Is {name} selected?|Has {name} been switched on?
    Is the option {name} active?"""
)
IS_ON_ZH = _listed("{name}打开了吗？|{name}是否已启用？|{name}勾选了吗？|{name}是开着的吗？")
ENTRY = _listed(
    """What is entered as {name}?|What stands in the {name} field?|{name}?
    what is in the field {name}|Read the {name} field.|What is the {name}?"""
)
ENTRY_ZH = _listed("{name}填的是什么？|{name}一栏的内容是什么？|{name}输入框里写着什么？|{name}是什么？")
FIGURE = _listed(
    "What is shown for {name}?|What is the value of {name}?|{name}?|How much is {name}?|Read the figure for {name}."
)
FIGURE_ZH = _listed("{name}是多少？|{name}显示的数值是多少？|{name}多少？")
TAB = _listed("Which tab is selected?|which tab is open|What is the active tab?|Name the selected tab.")
TAB_ZH = _listed("选中的是哪个标签页？|当前是哪个选项卡？|哪个标签被选中？")
TITLE = _listed(
    """What is the title of the page?|what does the heading say
    What is the heading?|Read the page title.|Which page is this?"""
)
TITLE_ZH = _listed("页面标题是什么？|这是哪个页面？|大标题写的是什么？")
ABSENT = _listed("Save|Delete|Send|Checkout|Sign up|Print|Record|Install|Play|Unlock")
ABSENT_ZH = _listed("保存|删除|发送|结账|注册|打印|录音|安装|播放|解锁")
