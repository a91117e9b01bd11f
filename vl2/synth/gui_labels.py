"""What menus, buttons, fields and switches of programs say, in English and Chinese; shared by both splits.

    Labels(lang) --new(MENU, MENU_ZH), icon()--> labels and icons that the page does not have yet
    structure_of(kind, state) --> the label id of an element's mark

The trap: a label that is part of another one would make phrases ambiguous, so such labels do not meet on a page.
"""

from vl2.synth.langs import Language
from vl2.synth.sample import structure_id
from vl2.synth.values import chance, pick

MENU = (
    "Home", "Dashboard", "Inbox", "Messages", "Projects", "Reports", "Team", "Calendar", "Files", "Settings",
    "Billing", "Users",
    "Orders", "Products", "Customers", "Analytics", "Help", "Profile", "Tasks", "Security", "Privacy", "Downloads",
    "History",
    "Favorites", "Support", "Notifications", "Overview", "Drafts", "Sent", "Archive", "Trash", "Photos", "Music",
    "News",
)  # fmt: skip
MENU_ZH = (
    "首页", "工作台", "收件箱", "消息", "项目", "报表", "团队", "日历", "文件", "设置", "账单", "用户", "订单",
    "商品", "客户",
    "分析", "帮助", "个人资料", "任务", "安全", "隐私", "下载", "历史记录", "收藏", "支持", "通知", "概览", "草稿",
    "已发送",
)  # fmt: skip
BUTTONS = (
    "Save", "Cancel", "Delete", "Edit", "Add", "Send", "Search", "Submit", "Next", "Back", "Apply", "Reset", "Export",
    "Import",
    "Share", "Download", "Upload", "Print", "Refresh", "Sign in", "Log out", "Continue", "Confirm", "Close",
    "Learn more", "Buy now",
    "Add to cart", "Subscribe", "Follow", "Reply", "New", "Create", "Update", "Preview", "Publish", "Copy", "Undo",
    "Filter",
)  # fmt: skip
BUTTONS_ZH = (
    "保存", "取消", "删除", "编辑", "添加", "发送", "搜索", "提交", "下一步", "返回", "应用", "重置", "导出", "导入",
    "分享", "下载",
    "上传", "打印", "刷新", "登录", "退出", "继续", "确认", "关闭", "了解更多", "立即购买", "加入购物车", "订阅",
    "关注", "回复", "新建",
    "创建", "更新", "预览", "发布", "复制", "筛选",
)  # fmt: skip
INPUTS = (
    "Name",
    "Email",
    "Password",
    "Phone",
    "Address",
    "City",
    "Company",
    "Username",
    "Subject",
    "Title",
    "Zip code",
    "Date",
    "Amount",
    "Website",
)
INPUTS_ZH = (
    "姓名",
    "邮箱",
    "密码",
    "电话",
    "地址",
    "城市",
    "公司",
    "用户名",
    "主题",
    "标题",
    "邮编",
    "日期",
    "金额",
    "网站",
)
SWITCHES = (
    "Dark mode", "Notifications", "Auto save", "Remember me", "Email updates", "Location", "Sync", "Public profile",
    "Wi-Fi",
    "Bluetooth", "Sound", "Vibration", "Two-step login", "I agree to the terms", "Show hidden files", "Backups",
    "Spell check",
)  # fmt: skip
SWITCHES_ZH = (
    "深色模式",
    "通知",
    "自动保存",
    "记住我",
    "邮件提醒",
    "定位",
    "同步",
    "公开资料",
    "蓝牙",
    "声音",
    "振动",
    "备份",
    "拼写检查",
    "显示隐藏文件",
)
# what a drawing of the pack stands for on a button without text; others are called by their own name
ICON_NAMES = (
    "gear", "magnifying glass", "house", "bell", "heart", "trash can", "pencil", "envelope", "download icon",
    "upload icon",
    "refresh icon", "calendar", "camera", "printer", "padlock", "person", "shopping cart", "filter", "folder",
    "location pin",
    "microphone", "phone", "question mark", "speaker", "speech bubble", "sun", "crescent moon", "paper clip",
    "price tag",
    "credit card", "floppy disk", "flag", "key", "gift", "wrench", "battery", "cloud", "check mark", "bar chart",
    "pie chart",
)  # fmt: skip
_MARKS = {
    "button": "button", "icon": "button", "input": "input field", "search": "input field", "checkbox": "checkbox",
    "switch": "radio button", "tab": "button",
}  # fmt: skip


def structure_of(kind: str, state: str) -> int | None:
    """The label id of a control's mark; None for what is text or a picture."""
    if kind not in _MARKS:
        return None
    if state == "on" and kind in ("checkbox", "switch"):
        return structure_id("checked box" if kind == "checkbox" else "selected radio")
    return structure_id(_MARKS[kind])


class Labels:
    """The labels of one page."""

    def __init__(self, lang: Language):
        self.lang, self.rng = lang, lang.rng
        self._taken: set[str] = set()

    def new(self, english: tuple[str, ...], chinese: tuple[str, ...], own: float = 0.25) -> str:
        """A label that the page does not have yet; with the chance `own` it is a word of the split."""
        name = ""
        for _ in range(60):
            name = self.lang.fit_word(11) if chance(self.rng, own) else self.lang.choose(english, chinese)
            if name not in self._taken and not any(name in other or other in name for other in self._taken):
                break
        self._taken.add(name)
        return name

    def icon(self) -> str:
        """What an icon shows."""
        name = ICON_NAMES[0]
        for _ in range(30):
            name = pick(self.rng, ICON_NAMES)
            if f"icon {name}" not in self._taken:
                break
        self._taken.add(f"icon {name}")
        return name

    def has_icon(self, name: str) -> bool:
        """Whether the page shows it."""
        return f"icon {name}" in self._taken
