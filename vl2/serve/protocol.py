"""What clients send and get, as pydantic models: every field is honoured, or refused by name.

The OpenAPI schema is made of these. The trap: models are strict and take no unknown fields, so a field that the server
would ignore cannot slip in; what OpenAI's API has and this server has not is simply not here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vl2.sampling import MAX_LOGPROBS


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TextPart(_Request):
    type: Literal["text"]
    text: str


class ImageUrl(_Request):
    """url: https, http or data. detail: low is one tile; auto and high are cut into tiles."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Request):
    type: Literal["image_url"]
    image_url: ImageUrl


class RefPart(_Request):
    """An extension: a phrase to locate. The answer then has regions."""

    type: Literal["ref"]
    phrase: str = Field(min_length=1)


class GroundingPart(_Request):
    """An extension: asks for an answer that locates what it mentions."""

    type: Literal["grounding"]


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


_UserParts = list[Annotated[TextPart | ImagePart | RefPart | GroundingPart, Field(discriminator="type")]]
_UserContent = Annotated[_UserParts, BeforeValidator(_as_parts, json_schema_input_type=str | _UserParts)]
_TextContent = Annotated[list[TextPart], BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart])]


class SystemMessage(_Request):
    role: Literal["system", "developer"]
    content: _TextContent


class UserMessage(_Request):
    role: Literal["user"]
    content: _UserContent


class AssistantMessage(_Request):
    """An earlier answer; fields that clients send back with it must be empty."""

    role: Literal["assistant"]
    content: _TextContent
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


class StreamOptions(_Request):
    include_usage: bool | None = None


class PlainFormat(_Request):
    type: Literal["text"]


class JsonObjectFormat(_Request):
    type: Literal["json_object"]


class JsonSchema(_Request):
    """strict: the schema is always enforced, whatever this says."""

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(_Request):
    type: Literal["json_schema"]
    json_schema: JsonSchema


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


_StopString = Annotated[str, Field(min_length=1, max_length=256)]
_StopList = Annotated[list[_StopString], Field(max_length=16)]
_Zero = Annotated[float, Field(ge=0, le=0)]
MaxTokens = Annotated[int, Field(ge=1, le=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]


class ChatRequest(_Request):
    """Sampling is greedy unless the request says otherwise. top_k, repetition_penalty, stop_repetition: extensions."""

    model: str
    messages: list[
        Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]
    ] = Field(min_length=1, max_length=1000)  # fmt: skip
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=128)
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    repetition_penalty: float | None = Field(None, ge=1e-6, le=1e6)
    frequency_penalty: _Zero | None = None
    presence_penalty: _Zero | None = None
    seed: Seed | None = None
    stop: Annotated[
        _StopList | None, BeforeValidator(_as_list, json_schema_input_type=_StopString | _StopList | None)
    ] = None
    stop_repetition: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    response_format: Annotated[
        PlainFormat | JsonObjectFormat | JsonSchemaFormat | None, Field(discriminator="type")
    ] = None
    user: str | None = Field(None, max_length=256)

    @model_validator(mode="after")
    def _check(self) -> "ChatRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: needs logprobs to be true")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: needs stream to be true")
        both = self.max_tokens, self.max_completion_tokens
        if None not in both and both[0] != both[1]:
            raise ValueError("max_completion_tokens: contradicts max_tokens; send one of them")
        return self


class OcrForm(BaseModel):
    """Fields of /v1/ocr beside `file`."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    pages: str | None = Field(None, max_length=1000, description="As 1-3,7 or 5-; all if left out.")
    max_pages: int | None = Field(None, ge=1)
    format: Literal["json", "text", "markdown"] = "json"
    stream: bool = Field(False, description="One JSON object a line, a page as soon as it is read.")
    max_tokens: int | None = Field(None, ge=1, le=2**31)


class GroundForm(BaseModel):
    """Fields of /v1/ground beside `file`."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    phrase: str = Field(min_length=1, max_length=1000)
    max_tokens: int | None = Field(None, ge=1, le=2**31)


class DrawForm(BaseModel):
    """Fields of /v1/draw beside `file`."""

    model_config = ConfigDict(extra="forbid")
    page: int = Field(1, ge=1)


# Responses


class Region(BaseModel):
    """box: left, top, right, bottom in pixels of the conversation's last image, or of the page."""

    label: str
    box: tuple[float, float, float, float]


class TokenLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprobs(TokenLogprob):
    top_logprobs: list[TokenLogprob]


class Logprobs(BaseModel):
    content: list[TokenLogprobs]
    refusal: None = None


class PromptTokensDetails(BaseModel):
    cached_tokens: int
    image_tokens: int


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


FinishReason = Literal["stop", "length", "repetition"]


class ChatChoice(BaseModel):
    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: Logprobs | None
    regions: list[Region]


class ChatResponse(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "vl2"
    max_model_len: int


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Page(BaseModel):
    """page: from 1. error: why there is no text."""

    page: int
    text: str | None = None
    regions: list[Region] | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: str | None = None


class OcrResponse(BaseModel):
    """num_pages: of the document; pages: those that were asked for, in that order."""

    object: Literal["ocr"] = "ocr"
    model: str
    num_pages: int
    pages: list[Page]
    usage: Usage


class GroundResponse(BaseModel):
    """width, height: of the image, in pixels, upright. text: the whole answer without tags."""

    object: Literal["ground"] = "ground"
    model: str
    phrase: str
    width: int
    height: int
    regions: list[Region]
    text: str
    finish_reason: FinishReason
    usage: Usage


class View(BaseModel):
    """canvas: width, height. box: where the image lies on it, in its pixels; the rest is grey."""

    canvas: tuple[int, int]
    rows: int
    cols: int
    box: tuple[int, int, int, int]


class Tiles(BaseModel):
    """What the model sees of an image of this size."""

    width: int
    height: int
    num_tiles: int
    image_tokens: int
    global_view: View
    local_view: View


class TilesResponse(BaseModel):
    object: Literal["tiles"] = "tiles"
    tile_size: int
    images: list[Tiles]


class Health(BaseModel):
    status: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    error: ErrorDetail
