"""Where weights come from: the packaged Nano, a local directory, or a Hugging Face repository."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

NANO_DIR = Path(__file__).parent / "weights" / "nano"
PUBLISHED = {
    "tiny": "deepseek-ai/deepseek-vl2-tiny",
    "small": "deepseek-ai/deepseek-vl2-small",
    "base": "deepseek-ai/deepseek-vl2",
}


class ModelNotFoundError(ValueError):
    """Neither a name we know, a directory, nor a repository that can be reached; one line."""


def find_model(name_or_path: str | Path, *, local_files_only: bool = False, revision: str | None = None) -> Path:
    """Directory of a model in official layout.

    Args:
        name_or_path: "nano", "tiny", "small", "base" (a directory of that name is "./tiny"), a local directory, or a
            hub id "owner/name".
        local_files_only: never touch the network; use what is already in the hub cache.

    Raises: ModelNotFoundError.
    """
    name = str(name_or_path)
    if name == "nano":
        return NANO_DIR
    path = Path(name).expanduser()
    if name and name not in PUBLISHED and path.is_dir():
        if not (path / "config.json").exists():
            raise ModelNotFoundError(
                f"{path}: no config.json in this directory; expected a checkpoint in official layout"
            )
        return path
    repository = PUBLISHED.get(name, name)
    known = ", ".join(["nano", *PUBLISHED])
    if repository.count("/") != 1 or name.startswith((".", "~", "/")):  # looks like a path
        raise ModelNotFoundError(f"model {name!r}: no such directory; names are {known}, hub ids are owner/name")
    try:
        patterns = ["*.json", "*.safetensors"]  # never pickles, never code
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=local_files_only)
        )
    except LocalEntryNotFoundError as error:
        raise ModelNotFoundError(
            f"model {repository!r}: not in the local cache and the hub is not reachable"
        ) from error
    except GatedRepoError as error:  # before its base class, which means that there is no such repository
        raise ModelNotFoundError(
            f"model {repository!r}: no access; accept its terms on the hub and log in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFoundError(f"model {name!r}: no such directory or hub repository; names are {known}") from error
    except HfHubHTTPError as error:
        raise ModelNotFoundError(f"model {repository!r}: the hub answered {' '.join(str(error).split())}") from error
    except Exception as error:  # whatever the HTTP client raises when a download breaks off: it differs by version
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelNotFoundError(f"model {repository!r}: the download failed ({reason}); try again") from error
