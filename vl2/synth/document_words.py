"""The printed words of receipts and forms: structural, shared by both splits."""


def _listed(block: str) -> tuple[str, ...]:
    """The entries of a block of text; bars and line ends stand between them."""
    return tuple(entry.strip() for entry in block.replace("\n", "|").split("|"))


TOTALS = _listed(
    """TOTAL|Total|Total|TOTAL DUE|Amount Due|Grand Total|GRAND TOTAL|Balance Due|Total Amount|Sum|To Pay|AMOUNT
    Total:|TOTAL:|Total due|Amount payable|BALANCE|Net Total|Total Sales|TOTAL AMOUNT|Total to pay
    Total incl. tax"""
)
SUBTOTALS = _listed("Subtotal|SUBTOTAL|Sub-total|Sub Total|Net|NET AMOUNT|SUB TOTAL|Subtotal:|Total excl. tax")
TAXES = _listed(
    """Tax|TAX|Sales Tax|VAT|GST|MwSt|Tax {rate}%|VAT {rate}%|GST ({rate}%)|TAX {rate} %|HST|Tax:|SALES TAX
    {rate}% VAT|IVA"""
)
TIPS = _listed("Tip|TIP|Gratuity|Service Charge|Tip:|Service")
PAYMENTS = _listed(
    """Cash|CASH|Visa|VISA|Mastercard|MasterCard|Credit Card|CREDIT CARD|Debit|DEBIT CARD|Card|EFTPOS|Gift Card
    Amex|PayPal|Check|Voucher|Apple Pay|Bank transfer|Contactless|Maestro"""
)
PAID_BY = _listed(
    """Payment:|Paid by|Payment Method|Paid by:|Payment type|Method:|Tender|PAYMENT|Payment|Pay by|Tender type:
    Paid with:"""
)
# what the document calls itself, and the labels of its number
DOCUMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("receipt", _listed("Receipt #|Receipt No:|Receipt:|Rcpt No.|RECEIPT NO.|Receipt no|Receipt number:")),
    ("receipt", _listed("Receipt #|Receipt No:|Receipt:|Rcpt No.|RECEIPT NO.|Receipt no|No.")),
    ("invoice", _listed("Invoice #|Invoice No:|Invoice:|INVOICE NO|Inv. No.|INVOICE|Invoice number")),
    ("bill", _listed("Bill No:|Bill #|BILL NO.|Bill:")),
    ("order", _listed("Order #|Order No:|Order:|ORDER NO.|Order")),
    ("ticket", _listed("Ticket #|Ticket No.|TICKET|Ticket:")),
    ("transaction", _listed("Trans #|Trans. No:|Transaction:|TRN|Transaction ID")),
)
CASHIERS = _listed(
    """Cashier:|CASHIER|Served by|Served by:|Your server:|Cashier|Clerk:|Operator:|Server:|You were served by"""
)
CUSTOMERS = _listed("Customer:|Bill to:|Bill To|Sold to:|Client:|Customer|Invoice to:")
TABLES = _listed("Table|Table:|TABLE|Table No.|Tbl")
PHONES = _listed("Tel: {}|Tel. {}|Phone: {}|{}|{}|TEL {}|Ph: {}|T: {}|Call {}|Phone {}")
DATES = _listed("Date:|DATE|Date|Date :|Sold on|Issued:||")
TIMES = _listed("Time:|TIME|Time|Time :|")
DUES = _listed("Due:|Due date:|Payment due|Pay by:|Due date")
FOOTERS = _listed(
    """Thank you!|THANK YOU|Thank you for your visit|Please come again|Have a nice day!|Thanks for shopping
    See you again soon|THANK YOU FOR SHOPPING|No refunds|Goods sold are not returnable|Come back soon
    Thank you, come again!|Customer copy|Please keep this receipt|MERCHANT COPY|All prices include tax
    Enjoy your day|***THANK YOU***|*** Thank you ***|Returns within 30 days|Exchange within 14 days
    Have a great day|Visit us online|Thank you for your business|Please pay at the counter|Tell us how we did
    Keep for your records|Welcome back|Approved|Signature not required"""
)
GREETINGS = _listed(
    """RECEIPT|Receipt|Sales Receipt|INVOICE|Tax Invoice|TAX INVOICE|Welcome|CASH RECEIPT|SALE|Bill|CASH BILL
    Guest Check"""
)
CHANGES = _listed("Change|CHANGE|Change due|CHANGE DUE|Change:|Cash back|Change given")
TENDERED = _listed("Cash|CASH|Tendered|Amount tendered|Cash received|CASH TENDERED|Paid|Received|Cash given")
DISCOUNTS = _listed("Discount|DISCOUNT|You saved|Member discount|Promo|Coupon|Reduction|Discount:|Offer")
COUNTS = _listed("Items: {}|Item count: {}|{} item(s)|ITEMS {}|No. of items: {}|{} items|Number of items: {}")
ITEM_HEADS = _listed("Item|Description|Product|Article|Items|Name")
PRICE_HEADS = _listed("Price|Amount|Total|Sum")
QUANTITY_HEADS = _listed("Qty|QTY|Qty.|No.|Pcs")
UNIT_HEADS = _listed("Unit|Rate|Each|Price")

FORM_TITLES = _listed(
    """Registration Form|Application Form|Order Form|Membership Application|Contact Form|Request Form|Feedback Form
    Booking Form|Medical History|Claim Form|Personal Details|Customer Information|Enrolment Form|Survey
    Job Application|Delivery Note|Complaint Form|Patient Record|Loan Application|Visitor Pass|Change of Address
    Expense Report|Work Order|Permission Slip|Reservation|Hotel Check-in|Travel Request|Purchase Request
    Inspection Report|Questionnaire|Incident Report|Time Sheet|Donation Form|Library Card|Rental Agreement
    Insurance Claim|Student Record|Leave Request|Payment Slip|Service Request|Warranty Card|Entry Form
    Consent Form|Guest Card|Tax Declaration|Shipping Label|Account Opening|Sign-up Sheet"""
)
SECTIONS = _listed(
    """Details|Part A|Section 1|Your details|Personal information|For office use|General|A. Applicant|Information"""
)
FORM_NOTES = _listed(
    """Please print clearly|Please fill in all fields|Use block letters|* required|Tick all that apply
    Please use black ink|For office use only|Page 1 of 2|Thank you for your time|Return to the front desk
    Please complete this form"""
)
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Gender", ("Male", "Female", "Other")),
    ("Contact by", ("Phone", "Email", "Post", "Text")),
    ("Marital status", ("Single", "Married", "Divorced", "Widowed")),
    ("Payment", ("Cash", "Card", "Check", "Transfer")),
    ("Status", ("New", "Open", "Closed", "Pending")),
    ("Member", ("Yes", "No")),
    ("Smoker", ("Yes", "No")),
    ("Insured", ("Yes", "No")),
    ("Priority", ("Low", "Medium", "High", "Urgent")),
    ("Size", ("Small", "Medium", "Large")),
    ("Delivery", ("Standard", "Express", "Pickup")),
    ("Day", ("Mon", "Tue", "Wed", "Thu", "Fri")),
    ("Type", ("Full time", "Part time", "Contract")),
    ("Meal", ("Breakfast", "Lunch", "Dinner")),
    ("Plan", ("Basic", "Plus", "Premium")),
    ("Rating", ("Poor", "Fair", "Good", "Excellent")),
    ("Time of day", ("Morning", "Noon", "Evening")),
    ("Colour", ("Red", "Blue", "Green", "Black")),
    ("Education", ("School", "College", "University")),
    ("Season", ("Spring", "Summer", "Autumn", "Winter")),
    ("Language", ("English", "French", "German", "Spanish")),
    ("Transport", ("Car", "Bus", "Train", "Bike")),
)
