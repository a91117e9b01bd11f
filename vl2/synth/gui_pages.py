"""Pages for screenshots: HTML of shops, settings, lists, forms and dialogues in random themes, nothing downloaded.

    language, size --theme, shell (bar, side menu), blocks of content--> HTML
    elements that can be asked about carry data-k (kind) and data-n (name): <button data-k="button" data-n="Save">

The trap: every visible word comes from the split's pools or from the labels of programs, which both splits share.
"""

import base64
import html
import io
from functools import lru_cache

import numpy as np

from vl2.synth.icons import concepts, drawings_of
from vl2.synth.langs import Language
from vl2.synth.values import chance, pick

_MENU = (
    "Home", "Dashboard", "Inbox", "Messages", "Projects", "Reports", "Team", "Calendar", "Files", "Settings", "Billing", "Users",
    "Orders", "Products", "Customers", "Analytics", "Help", "Profile", "Tasks", "Security", "Privacy", "Downloads", "History",
    "Favorites", "Support", "Notifications", "Overview", "Drafts", "Sent", "Archive", "Trash", "Photos", "Music", "News",
)  # fmt: skip
_MENU_ZH = (
    "首页", "工作台", "收件箱", "消息", "项目", "报表", "团队", "日历", "文件", "设置", "账单", "用户", "订单", "商品", "客户",
    "分析", "帮助", "个人资料", "任务", "安全", "隐私", "下载", "历史记录", "收藏", "支持", "通知", "概览", "草稿", "已发送",
)  # fmt: skip
_BUTTONS = (
    "Save", "Cancel", "Delete", "Edit", "Add", "Send", "Search", "Submit", "Next", "Back", "Apply", "Reset", "Export", "Import",
    "Share", "Download", "Upload", "Print", "Refresh", "Sign in", "Log out", "Continue", "Confirm", "Close", "Learn more", "Buy now",
    "Add to cart", "Subscribe", "Follow", "Reply", "New", "Create", "Update", "Preview", "Publish", "Copy", "Undo", "Filter",
)  # fmt: skip
_BUTTONS_ZH = (
    "保存", "取消", "删除", "编辑", "添加", "发送", "搜索", "提交", "下一步", "返回", "应用", "重置", "导出", "导入", "分享", "下载",
    "上传", "打印", "刷新", "登录", "退出", "继续", "确认", "关闭", "了解更多", "立即购买", "加入购物车", "订阅", "关注", "回复", "新建",
    "创建", "更新", "预览", "发布", "复制", "筛选",
)  # fmt: skip
_INPUTS = ("Name", "Email", "Password", "Phone", "Address", "City", "Company", "Username", "Subject", "Title", "Zip code", "Date", "Amount", "Website")
_INPUTS_ZH = ("姓名", "邮箱", "密码", "电话", "地址", "城市", "公司", "用户名", "主题", "标题", "邮编", "日期", "金额", "网站")
_SWITCHES = (
    "Dark mode", "Notifications", "Auto save", "Remember me", "Email updates", "Location", "Sync", "Public profile", "Wi-Fi",
    "Bluetooth", "Sound", "Vibration", "Two-step login", "I agree to the terms", "Show hidden files", "Backups", "Spell check",
)  # fmt: skip
_SWITCHES_ZH = ("深色模式", "通知", "自动保存", "记住我", "邮件提醒", "定位", "同步", "公开资料", "蓝牙", "声音", "振动", "备份", "拼写检查", "显示隐藏文件")
# what a drawing of the pack stands for on a button without text; others are called by their own name
_ICON_NAMES = (
    "gear", "magnifying glass", "house", "bell", "heart", "trash can", "pencil", "envelope", "download icon", "upload icon",
    "refresh icon", "calendar", "camera", "printer", "padlock", "person", "shopping cart", "filter", "folder", "location pin",
    "microphone", "phone", "question mark", "speaker", "speech bubble", "sun", "crescent moon", "paper clip", "price tag",
    "credit card", "floppy disk", "flag", "key", "gift", "wrench", "battery", "cloud", "check mark", "bar chart", "pie chart",
)  # fmt: skip


@lru_cache(maxsize=512)
def _mask(split: str, name: str, number: int) -> str:
    """A drawing as the mask of a coloured square, as a data URL."""
    index = next(concept.index for concept in concepts() if concept.name == name)
    pool = drawings_of(split, "interface")[index]
    picture = pool[number % len(pool)].paint((0, 0, 0)).resize((40, 40))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


@lru_cache(maxsize=2048)
def _picture(split: str, concept: int, number: int) -> str:
    """An emoji as a data URL."""
    pool = drawings_of(split, "emoji")[concept]
    written = io.BytesIO()
    pool[number % len(pool)].paint().resize((64, 64)).save(written, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode()


class PageWriter:
    """Writes one page."""

    def __init__(self, lang: Language, width: int, height: int):
        self.lang, self.rng, self.width, self.height = lang, lang.rng, width, height
        self.phone = width < 420
        self._taken: set[str] = set()

    def page(self) -> str:
        """The whole document."""
        rng = self.rng
        top, side = chance(rng, 0.85), not self.phone and chance(rng, 0.5)
        body = (self._bar() if top else "") + '<div class="mid">' + (self._side() if side else "")
        blocks = [self._form, self._table, self._cards, self._switches, self._mails, self._tiles]
        chosen = [blocks[i] for i in rng.permutation(len(blocks))[: int(rng.integers(1, 4))].tolist()]
        main = self._heading() + (self._tabs() if chance(rng, 0.35) else "") + "".join(block() for block in chosen)
        body += f'<main>{main}</main></div>' + (self._phone_bar() if self.phone and chance(rng, 0.6) else "")
        if chance(rng, 0.16):
            body += self._dialogue()
        return f'<!doctype html><html><head><meta charset="utf-8"><style>{self._style()}</style></head><body><div id="root">{body}</div></body></html>'

    # --- looks

    def _style(self) -> str:
        """Colours, fonts, corners and distances."""
        rng = self.rng
        dark = chance(rng, 0.25)
        hue = int(rng.integers(360))
        accent = f"hsl({hue},{int(rng.integers(45, 85))}%,{int(rng.integers(32, 50))}%)"
        page, card, text, soft, line = (
            (f"hsl({hue},10%,11%)", f"hsl({hue},10%,16%)", "#eceff2", "#9aa4ae", f"hsl({hue},8%,27%)")
            if dark
            else (f"hsl({hue},{int(rng.integers(0, 30))}%,{int(rng.integers(95, 100))}%)", "#fff", "#1d2228", "#66707a", "#d8dde2")
        )
        if not dark and chance(rng, 0.2):
            card = page
        plain, heavy = self.lang.font_file("sans"), self.lang.font_file("sans")
        size = rng.uniform(12.5, 16) + (1 if self.lang.zh else 0)
        bar = pick(rng, (accent, card, text if not dark else card))
        on_bar = text if bar == card else (page if bar == text else "#fff")
        radius = pick(rng, (0, 3, 5, 8, 14, 20))
        return f"""
@font-face{{font-family:P;src:url('file://{plain}')}}@font-face{{font-family:H;src:url('file://{heavy}')}}
*{{box-sizing:border-box;margin:0}}body{{background:#888}}
#root{{width:{self.width}px;height:{self.height}px;overflow:hidden;position:relative;background:{page};color:{text};
font:{size:.1f}px/1.4 P,sans-serif;display:flex;flex-direction:column}}
h1{{font:{size * rng.uniform(1.3, 1.8):.1f}px/1.2 H;margin-bottom:{int(rng.integers(4, 14))}px}}h2{{font:{size * 1.1:.1f}px H;margin-bottom:6px}}
.bar{{display:flex;align-items:center;gap:{int(rng.integers(8, 18))}px;padding:{int(rng.integers(5, 12))}px 14px;background:{bar};color:{on_bar};
border-bottom:1px solid {line}}}.brand{{font:{size * 1.25:.1f}px H;white-space:nowrap}}.grow{{flex:1}}
.mid{{display:flex;flex:1;min-height:0}}nav{{width:{int(rng.integers(120, 180))}px;border-right:1px solid {line};padding:8px;background:{card}}}
nav a{{display:flex;gap:8px;align-items:center;padding:{int(rng.integers(3, 8))}px 8px;border-radius:{radius}px;color:{text}}}
nav a.on,.tab.on{{background:{accent};color:#fff}}main{{flex:1;padding:{int(rng.integers(10, 22))}px;overflow:hidden}}
.card{{background:{card};border:1px solid {line};border-radius:{radius}px;padding:10px 12px;margin-bottom:10px;
{"box-shadow:0 2px 8px rgba(0,0,0,.12)" if chance(rng, 0.4) else ""}}}
button{{font:inherit;padding:{int(rng.integers(3, 8))}px {int(rng.integers(9, 18))}px;border-radius:{radius}px;border:1px solid {accent};
background:{pick(rng, (card, page))};color:{accent if not dark else text};white-space:nowrap}}
button.main{{background:{accent};color:#fff}}button.icon{{padding:4px;border:none;background:none;color:inherit;display:inline-flex}}
i{{display:inline-block;width:{int(size * 1.25)}px;height:{int(size * 1.25)}px;background:currentColor;mask-size:contain;-webkit-mask-size:contain;
-webkit-mask-repeat:no-repeat}}.row{{display:flex;gap:10px;align-items:center;flex-wrap:wrap}}.soft{{color:{soft}}}
label.f{{display:block;margin-bottom:{int(rng.integers(4, 10))}px}}label.f span{{display:block;color:{soft}}}
.in{{display:block;width:100%;font:inherit;padding:4px 8px;border:1px solid {line};border-radius:{min(radius, 8)}px;background:{page};color:{text};
min-height:{int(size * 1.9)}px;white-space:nowrap;overflow:hidden}}.in.ph{{color:{soft}}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:4px 8px;border-bottom:1px solid {line};font-weight:normal}}th{{color:{soft}}}
.grid{{display:grid;grid-template-columns:repeat({1 if self.phone else int(rng.integers(2, 4))},1fr);gap:10px}}.grid .card{{margin:0}}
.sw{{width:34px;height:18px;border-radius:9px;background:{line};position:relative;display:inline-block;flex:none}}
.sw.on{{background:{accent}}}.sw:after{{content:'';position:absolute;left:2px;top:2px;width:14px;height:14px;border-radius:7px;background:#fff}}
.sw.on:after{{left:18px}}.ck{{width:15px;height:15px;border:1.5px solid {soft};border-radius:3px;display:inline-block;position:relative;flex:none}}
.ck.on{{background:{accent};border-color:{accent}}}.ck.on:after{{content:'';position:absolute;left:4px;top:0;width:4px;height:8px;border:solid #fff;
border-width:0 2px 2px 0;transform:rotate(45deg)}}.ck.o{{border-radius:8px}}.tab{{padding:4px 12px;border-radius:{radius}px}}.big{{font:{size * 1.7:.1f}px H}}
.veil{{position:absolute;inset:0;background:rgba(0,0,0,.45);display:flex;align-items:center;justify-content:center}}.veil .card{{width:70%;padding:16px}}
.foot{{display:flex;justify-content:space-around;padding:8px;border-top:1px solid {line};background:{card}}}a{{color:{accent if not dark else "#7db7ff"}}}
h1,h2,.big,.pic{{width:fit-content}}img{{width:{int(rng.integers(34, 60))}px;display:block}}.list{{display:flex;gap:10px;padding:6px 0;border-bottom:1px solid {line};align-items:center}}
"""

    # --- pieces

    def _new(self, english: tuple[str, ...], chinese: tuple[str, ...], own: float = 0.25) -> str:
        """A label that the page does not have yet; some are words of the split."""
        for _ in range(60):
            name = self.lang.fit_word(11) if chance(self.rng, own) else self.lang.choose(english, chinese)
            if name not in self._taken and not any(name in other or other in name for other in self._taken):
                break
        self._taken.add(name)
        return name

    def _tagged(self, tag: str, kind: str, name: str, inner: str, classes: str = "", state: str = "") -> str:
        told = f' data-s="{state}"' if state else ""
        return f'<{tag} class="{classes}" data-k="{kind}" data-n="{html.escape(name)}"{told}>{inner}</{tag}>'

    def _icon(self) -> tuple[str, str]:
        """A name and the HTML of its drawing."""
        for _ in range(30):
            name = pick(self.rng, _ICON_NAMES)
            if f"icon {name}" not in self._taken:
                break
        self._taken.add(f"icon {name}")
        url = _mask(self.lang.split, name, int(self.rng.integers(8)))
        return name, f'<i style="-webkit-mask-image:url({url});mask-image:url({url})"></i>'

    def _icon_button(self) -> str:
        name, drawing = self._icon()
        return self._tagged("button", "icon", name, drawing, "icon")

    def _button(self, main: bool = False) -> str:
        name = self._new(_BUTTONS, _BUTTONS_ZH, 0.15)
        icon = self._icon()[1] + " " if chance(self.rng, 0.12) else ""
        return self._tagged("button", "button", name, icon + html.escape(name), "main" if main else "")

    def _bar(self) -> str:
        rng = self.rng
        brand = self.lang.fit_word(9) + ("" if self.lang.zh else pick(rng, ("", "", "ly", "Hub", "App")))
        parts = [self._tagged("span", "brand", brand, html.escape(brand), "brand")]
        if not self.phone:
            for _ in range(int(rng.integers(0, 4))):
                name = self._new(_MENU, _MENU_ZH)
                parts.append(self._tagged("span", "menu", name, html.escape(name)))
        parts.append('<span class="grow"></span>')
        if not self.phone and chance(rng, 0.5):
            hint = self.lang.choose(("Search", "Search...", "Find"), ("搜索", "请输入关键词"))
            parts.append(self._tagged("span", "search", "search", hint, "in ph").replace('class="in ph"', 'class="in ph" style="width:140px"'))
        parts += [self._icon_button() for _ in range(int(rng.integers(0, 4)))]
        if chance(rng, 0.4):
            parts.append(self._button(chance(rng, 0.5)))
        return f'<div class="bar">{"".join(parts)}</div>'

    def _side(self) -> str:
        rng = self.rng
        count = int(rng.integers(4, 9))
        icons, chosen = chance(rng, 0.6), int(rng.integers(count))
        rows = []
        for number in range(count):
            name = self._new(_MENU, _MENU_ZH)
            inner = (self._icon()[1] if icons else "") + f"<span>{html.escape(name)}</span>"
            on = number == chosen
            rows.append(self._tagged("a", "menu", name, inner, "on" if on else "", "on" if on else ""))
        return f"<nav>{''.join(rows)}</nav>"

    def _phone_bar(self) -> str:
        return f'<div class="foot">{"".join(self._icon_button() for _ in range(4))}</div>'

    def _heading(self) -> str:
        title = self.lang.title(int(self.rng.integers(1, 4)))
        return self._tagged("h1", "title", title, html.escape(title))

    def _tabs(self) -> str:
        count = int(self.rng.integers(2, 5))
        chosen = int(self.rng.integers(count))
        names = [self._new(_MENU, _MENU_ZH, 0.4) for _ in range(count)]
        tabs = [
            self._tagged("span", "tab", name, html.escape(name), "tab on" if n == chosen else "tab", "on" if n == chosen else "off")
            for n, name in enumerate(names)
        ]
        return f'<div class="row" style="margin-bottom:8px">{"".join(tabs)}</div>'

    def _form(self) -> str:
        rng, lang = self.rng, self.lang
        fields = []
        for _ in range(int(rng.integers(2, 5))):
            name = self._new(_INPUTS, _INPUTS_ZH, 0.2)
            filled = chance(rng, 0.6)
            maker = pick(rng, (lang.person, lang.email, lang.phone, lang.city, lang.date, lang.thing))
            value = maker() if filled else lang.choose(("Enter a value", "Type here", ""), ("请输入", ""))
            inner = self._tagged("span", "input", name, html.escape(value) or "&nbsp;", "in" if filled else "in ph", value if filled else "")
            fields.append(f'<label class="f"><span>{html.escape(name)}</span>{inner}</label>'.replace('<span class="in', '<span style="display:block" class="in'))
        return f'<div class="card">{"".join(fields)}{self._check() if chance(rng, 0.5) else ""}<div class="row">{self._button(True)}{self._button()}</div></div>'

    def _check(self) -> str:
        name = self._new(_SWITCHES, _SWITCHES_ZH)
        on = chance(self.rng, 0.5)
        box = self._tagged("span", "checkbox", name, "", "ck on" if on else "ck", "on" if on else "off")
        return f'<div class="row" style="margin-bottom:8px">{box}<span>{html.escape(name)}</span></div>'

    def _switches(self) -> str:
        rows = []
        for _ in range(int(self.rng.integers(2, 6))):
            name = self._new(_SWITCHES, _SWITCHES_ZH)
            on = chance(self.rng, 0.5)
            switch = self._tagged("span", "switch", name, "", "sw on" if on else "sw", "on" if on else "off")
            rows.append(f'<div class="list"><span style="flex:1">{html.escape(name)}</span>{switch}</div>')
        return f'<div class="card">{"".join(rows)}</div>'

    def _table(self) -> str:
        rng, lang = self.rng, self.lang
        heads = [self._new(_INPUTS, _INPUTS_ZH, 0.5) for _ in range(2 if self.phone else int(rng.integers(2, 5)))]
        rows = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
        text = f"<tr>{rows}</tr>"
        act = chance(rng, 0.4)
        for _ in range(int(rng.integers(2, 6))):
            key = lang.thing()
            cells = [self._tagged("td", "cell", key, html.escape(key))]
            cells += [f"<td>{html.escape(pick(rng, (lang.date, lang.code_number, lang.person))())}</td>" for _ in heads[1:]]
            link = lang.choose(("Edit", "View", "Open"), ("编辑", "查看", "打开"))
            if act:
                cells.append("<td>" + self._tagged("a", "row link", f"{link}|{key}", link) + "</td>")
            text += f"<tr>{''.join(cells)}</tr>"
        return f'<div class="card"><table>{text}</table></div>'

    def _cards(self) -> str:
        rng, lang = self.rng, self.lang
        out = []
        pool = list(drawings_of(lang.split, "emoji"))
        for _ in range(int(rng.integers(2, 5))):
            concept = pick(rng, pool)
            name = self._new((lang.thing(),), (lang.thing(),), 0.0)
            image = self._tagged("div", "picture", concepts()[concept].name, f'<img src="{_picture(lang.split, concept, int(rng.integers(9)))}">', "pic")
            price = lang.money(int(10 ** rng.uniform(2, 5)))
            cost = self._tagged("span", "price", name, html.escape(price), "", price)
            out.append(f'<div class="card">{image}<div>{html.escape(name)}</div><div class="row">{cost}{self._button(chance(rng, 0.5)) if chance(rng, 0.6) else ""}</div></div>')
        return f'<div class="grid" style="margin-bottom:10px">{"".join(out)}</div>'

    def _mails(self) -> str:
        lang = self.lang
        rows = []
        for _ in range(int(self.rng.integers(2, 5))):
            sender = lang.person()
            line = html.escape(lang.phrase(32))
            dot = f'<span style="flex:none;width:26px;height:26px;border-radius:13px;background:hsl({int(self.rng.integers(360))},50%,55%)"></span>'
            rows.append(self._tagged("div", "mail", sender, f'{dot}<div><div>{html.escape(sender)}</div><div class="soft">{line}</div></div>', "list"))
        return f'<div class="card">{"".join(rows)}</div>'

    def _tiles(self) -> str:
        lang, out = self.lang, []
        for _ in range(int(self.rng.integers(2, 4))):
            name = self._new(_MENU, _MENU_ZH, 0.6)
            value = pick(self.rng, (f"{int(self.rng.integers(2, 9999)):,}", f"{self.rng.uniform(0, 100):.1f}%", lang.money(int(10 ** self.rng.uniform(3, 6)))))
            out.append(f'<div class="card"><div class="soft">{html.escape(name)}</div>{self._tagged("div", "figure", name, html.escape(value), "big", value)}</div>')
        return f'<div class="grid" style="margin-bottom:10px">{"".join(out)}</div>'

    def _dialogue(self) -> str:
        title = self.lang.title(2)
        text = html.escape(self.lang.phrase(50))
        head = self._tagged("h2", "title of the dialogue", title, html.escape(title))
        return f'<div class="veil"><div class="card">{head}<p class="soft" style="margin-bottom:10px">{text}</p><div class="row">{self._button()}{self._button(True)}</div></div></div>'


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height) of a window or a telephone."""
    if chance(rng, 0.25):
        return int(rng.integers(300, 385)), int(rng.integers(520, 761))
    return int(rng.integers(520, 769)), int(rng.integers(360, 561))
