"""Tasks "receipt-zh" and "form-zh": tills' slips and filled-in forms with boxes to tick, in Chinese.

    language --shop, items, sums | fields, groups of options--> Folio --> Sample with entries, JSON, Markdown

The trap: a form is filled in by type or by hand, so that labels and entries have fonts of their own.
"""

import numpy as np

from vl2.synth.canvas import text_width
from vl2.synth.folio import Folio, accent, plain_paper
from vl2.synth.langs import Font, language
from vl2.synth.sample import Question, Sample, Value, structure_id
from vl2.synth.values import chance, pick

_THANKS = ("谢谢惠顾", "欢迎再次光临", "请保留小票", "多谢光临", "祝您生活愉快", "凭此小票换开发票")
_PAYMENTS = ("现金", "微信支付", "支付宝", "银行卡", "会员卡", "刷卡")
_HEADS = ("销售小票", "收银小票", "购物小票", "结账单", "收据", "欢迎光临")
_PRICE = ("{item}多少钱？", "{item}的价格是多少？", "{item}的金额", "请问{item}花了多少？", "How much is {item}?")
_QUANTITY = ("{item}买了几件？", "{item}的数量是多少？", "How many {item} were bought?")
_TITLES = (
    "报名表",
    "登记表",
    "申请表",
    "调查表",
    "入职登记表",
    "会员申请表",
    "信息采集表",
    "体检表",
    "请假单",
    "报销单",
    "订货单",
    "预约单",
)
_FIELDS: tuple[tuple[str, str], ...] = (
    ("姓名", "person"), ("联系人", "person"), ("负责人", "person"), ("出生日期", "date"), ("填表日期", "date"),
    ("入职日期", "date"),
    ("电话", "phone"), ("手机号码", "phone"), ("地址", "address"), ("家庭住址", "address"), ("工作单位", "company"),
    ("邮箱", "email"),
    ("编号", "code_number"), ("证件号", "code_number"), ("籍贯", "city"), ("城市", "city"), ("部门", "word"), ("职务",
    "word"),
    ("专业", "word"), ("事由", "thing"), ("备注", "thing"), ("产品名称", "thing"), ("特长", "word"), ("金额", "amount"),
)  # fmt: skip
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("性别", ("男", "女")), ("婚否", ("已婚", "未婚")), ("学历", ("高中", "大专", "本科", "硕士")), ("付款方式",
    ("现金", "转账", "刷卡")),
    ("优先级", ("高", "中", "低")), ("是否会员", ("是", "否")), ("配送方式", ("快递", "自提", "送货上门")), ("时间段",
    ("上午", "下午", "晚上")),
    ("评价", ("很好", "一般", "较差")), ("类型", ("全职", "兼职", "实习")), ("尺码", ("大", "中", "小")), ("交通工具",
    ("飞机", "火车", "汽车")),
)  # fmt: skip
_CHOSEN = (
    "{group}选的是哪一项？",
    "{group}勾选了什么？",
    "{group}是什么？",
    "Which option is ticked for {group}?",
    "{group}一栏选了什么？",
)
_TICKED = ("“{option}”勾选了吗？", "{option}前面打勾了吗？", "是否勾选了{option}？", "Is {option} ticked?")
_BOX = ("{option}前面的方框", "“{option}”的复选框", "{option}的勾选框", "the checkbox for {option}")


def generate_receipt(rng: np.random.Generator, split: str) -> Sample:
    """A slip of a till."""
    lang = language(rng, split, "zh")
    width, height = int(rng.integers(260, 385)), 900
    folio = Folio(lang, plain_paper(rng, width, height), pick(rng, ((24, 24, 26), (50, 50, 60), (60, 56, 90))))
    path = lang.font_file(pick(rng, ("sans", "serif")))
    font, large = lang.font(path, rng.uniform(12.2, 15)), lang.font(path, 18)
    step = folio.height_of(font) * rng.uniform(1.0, 1.2)
    margin, y = rng.uniform(8, 18), rng.uniform(8, 20)
    shop = lang.fit(lang.company(), large, width - 2 * margin)
    folio.entry("商店名称", shop, folio.text((width / 2, y), shop, large, align=0.5), "store")
    folio.block(f"# {shop}", shop)
    y += folio.height_of(large) * 1.1
    head = pick(rng, _HEADS)
    folio.text((width / 2, y), head, font, align=0.5)
    folio.block(head)
    y += step * 1.2
    facts = [
        ("日期", lang.date(), "date"),
        ("单号", lang.code_number(), "number"),
        ("收银员", lang.person(), "cashier"),
        ("电话", lang.phone(), "phone"),
        ("地址", lang.street(), "address"),
    ]
    written = []
    for label, value, kind in [facts[i] for i in sorted(rng.permutation(5)[: int(rng.integers(2, 5))].tolist())]:
        written.append(folio.field((margin, y), label, value, font, font, width - 2 * margin, kind))
        y += step
    folio.block("\n".join(f"- {row}" for row in written), *written)
    y = _items(folio, font, margin, y, step)
    thanks = pick(rng, _THANKS)
    folio.text((width / 2, y + 0.4 * step), thanks, font, align=0.5)
    folio.block(thanks)
    folio.canvas.crop(int(y + 2 * step + rng.uniform(2, 30)))
    used = {entry.label for entry in folio.entries}
    folio.absent = [label for label, *_ in facts if label not in used]
    folio.missing = tuple(kind for label, _, kind in (*facts, ("找零", "", "change")) if label not in used)
    return folio.sample("receipt-zh")


def _rule(folio: Folio, margin: float, y: float) -> None:
    """A dashed line across the slip."""
    for x in np.arange(margin, folio.canvas.width - margin - 5, 9).tolist():
        folio.canvas.draw.line((x, y, x + 5, y), fill=folio.ink)
    folio.canvas.mark(structure_id("dashed rule"), (margin, y - 2, folio.canvas.width - margin, y + 2))


def _items(folio: Folio, font: Font, margin: float, y: float, step: float) -> float:
    """Name, quantity and amount of each item, and the sums; returns where they end."""
    lang, rng = folio.lang, folio.rng
    right = folio.canvas.width - margin
    middle = margin + (right - margin) * 0.62
    _rule(folio, margin, y + 2)
    y += 6
    header = (pick(rng, ("品名", "商品", "名称")), pick(rng, ("数量", "件数")), pick(rng, ("金额", "小计")))
    rows: list[tuple[str, str, str]] = [header]
    names: list[str] = []
    cents = 0
    for _ in range(int(rng.integers(2, 9))):
        name = lang.thing()
        if any(name in other or other in name for other in names):
            continue
        names.append(name)
        count, price = int(rng.integers(1, 6)), int(10 ** rng.uniform(2, 4.3))
        cents += count * price
        rows.append((name, str(count), f"{count * price / 100:.2f}"))
    for row in rows:
        for text, x, align in zip(row, (margin, middle, right), (0.0, 0.5, 1.0), strict=True):
            folio.text((x, y), text, font, align=align)
        y += step
    ruled = [rows[0], ("---",) * 3, *rows[1:]]
    folio.block("\n".join(f"| {' | '.join(row)} |" for row in ruled), *(" ".join(row) for row in rows))
    for name, count, amount in rows[1:]:
        folio.values.append(Value("item_price", (amount,), amount, name))
        folio.values.append(Value("item_quantity", (count,), count, name))
    for name, count, amount in rows[1:5]:
        wording, answer = (pick(rng, _PRICE), amount) if chance(rng, 0.7) else (pick(rng, _QUANTITY), count)
        folio.extra.append(Question("ask", wording.format(item=name), (answer,)))
    _rule(folio, margin, y + 2)
    y += 6
    paid = cents if chance(rng, 0.5) else -(-cents // 1000) * 1000
    sums = [
        (pick(rng, ("合计", "应付", "总计", "应收")), lang.money(cents), "total", f"{cents / 100:.2f}"),
        ("付款方式", pick(rng, _PAYMENTS), "payment", ""),
    ]
    if paid > cents:
        sums.append(("实收", lang.money(paid), "paid", f"{paid / 100:.2f}"))
        sums.append(("找零", lang.money(paid - cents), "change", f"{(paid - cents) / 100:.2f}"))
    written = []
    for label, value, kind, literal in sums:
        folio.text((margin, y), f"{label}：", font)
        folio.entry(label, value, folio.text((right, y), value, font, align=1.0), kind, literal)
        written.append(f"{label}：{value}")
        y += step
    folio.block("\n".join(f"- {row}" for row in written), *written)
    return y


def generate_form(rng: np.random.Generator, split: str) -> Sample:
    """A form, filled in by type or by hand."""
    lang = language(rng, split, "zh")
    width, height = int(rng.integers(330, 560)), int(rng.integers(320, 700))
    folio = Folio(lang, plain_paper(rng, width, height), (26, 26, 30))
    labels = lang.font(lang.font_file(pick(rng, ("sans", "serif"))), rng.uniform(12.2, 15.5))
    hand = chance(rng, 0.55)
    entries = lang.font(lang.font_file("hand" if hand else "serif"), labels.size / 1.22 * (1.15 if hand else 1.0))
    pen = pick(rng, ((20, 40, 130), (20, 20, 24), (30, 60, 150))) if hand else folio.ink
    margin, y = rng.uniform(10, 0.06 * width), rng.uniform(8, 20)
    large = lang.font(str(labels.path), labels.size / 1.22 * 1.5)
    title = pick(rng, _TITLES)
    folio.text((width / 2, y), title, large, align=0.5, fill=accent(rng) if chance(rng, 0.4) else None)
    folio.block(f"# {title}", title)
    folio.extra.append(Question("ask", pick(rng, ("这是什么表？", "表格的标题是什么？", "表名是什么？")), (title,)))
    folio.values.append(Value("title", (title,)))
    y += folio.height_of(large) * 1.25
    row = max(folio.height_of(labels), folio.height_of(entries)) * rng.uniform(1.1, 1.45)
    look = pick(rng, ("grid", "line", "plain"))
    groups = [_GROUPS[i] for i in rng.permutation(len(_GROUPS))[: int(rng.integers(1, 4))].tolist()]
    room = int((height - y - 8) / row) - len(groups)
    fields = [_FIELDS[i] for i in rng.permutation(len(_FIELDS))[: max(1, min(room, int(rng.integers(3, 9))))].tolist()]
    wide = max(text_width(f"{label}：", labels) for label, _ in fields)
    written = []
    for label, kind in fields:
        value = lang.money(int(10 ** rng.uniform(3, 6))) if kind == "amount" else getattr(lang, kind)()
        start = margin + wide + 8
        value = lang.fit(value, entries, width - margin - start - 4)
        folio.text((margin + 3, y + (row - folio.height_of(labels)) / 2), f"{label}：", labels)
        box = folio.text((start, y + (row - folio.height_of(entries)) / 2), value, entries, fill=pen)
        folio.entry(label, value, box, "field", about=label)
        if look == "grid":
            folio.canvas.draw.rectangle((margin, y, width - margin, y + row), outline=(90, 90, 96))
            folio.canvas.draw.line((start - 5, y, start - 5, y + row), fill=(90, 90, 96))
        elif look == "line":
            folio.canvas.draw.line((start, y + row - 2, width - margin, y + row - 2), fill=(120, 120, 126))
        written.append(f"{label}：{value}")
        y += row
    folio.block("\n".join(f"- {text}" for text in written), *written)
    for group, options in groups:
        if y + row > height - 4:
            break
        _options(folio, group, options, labels, pen, (margin + 3, y, row))
        y += row
    folio.canvas.crop(max(180, min(height, int(y + rng.uniform(6, 30)))))
    known = {label for label, _ in fields}
    folio.absent = [label for label, _ in _FIELDS if label not in known][:6]
    return folio.sample("form-zh")


def _options(
    folio: Folio,
    group: str,
    options: tuple[str, ...],
    font: Font,
    pen: tuple[int, int, int],
    place: tuple[float, float, float],
) -> None:
    """One line of options, one of them ticked."""
    rng, draw = folio.rng, folio.canvas.draw
    x, y, row = place
    chosen = int(rng.integers(len(options)))
    top = y + (row - folio.height_of(font)) / 2
    folio.text((x, top), f"{group}：", font)
    x += text_width(f"{group}：", font) + 4
    side = round(font.size * 0.8)
    parts = []
    ticked = ""
    for number, option in enumerate(options):
        if x + side + 8 + text_width(option, font) > folio.canvas.width - 6:
            break
        box = (round(x), round(y + (row - side) / 2), round(x) + side, round(y + (row - side) / 2) + side)
        draw.rectangle(box, outline=folio.ink)
        on = number == chosen
        if on:
            draw.line(
                (box[0] + 2, box[1] + side * 0.5, box[0] + side * 0.42, box[3] - 2, box[2] + 2, box[1] - 2),
                fill=pen,
                width=2,
            )
            ticked = option
        folio.canvas.mark(structure_id("checked box" if on else "checkbox"), box)
        folio.text((x + side + 4, top), option, font)
        folio.canvas.region(f"tick {option}", box)
        if len(option) > 1:
            folio.places.append((pick(rng, _BOX).format(option=option), f"tick {option}"))
            folio.extra.append(
                Question("ask", pick(rng, _TICKED).format(option=option), ("是" if on else "否",), "exact")
            )
        parts.append(f"[{'x' if on else ' '}] {option}")
        x += side + 14 + text_width(option, font)
    if ticked:
        folio.extra.append(Question("ask", pick(rng, _CHOSEN).format(group=group), (ticked,)))
        folio.values.append(Value("group", (ticked,), about=group))
    folio.block(f"{group}：" + " ".join(parts), f"{group}：" + " ".join(part[4:] for part in parts))
