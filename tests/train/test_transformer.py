"""Transformers as retrievers: each family from its checkpoint to a bundle that answers without torch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from codesearch.bundle import load  # noqa: E402
from codesearch.encode import OnnxEncoder  # noqa: E402
from codesearch.errors import UsageError  # noqa: E402
from codesearch.rank import CONTEXTUAL, weights  # noqa: E402
from codesearch.workspace import Workspace  # noqa: E402
from revela_train import backbone, export_transformer, hub  # noqa: E402
from revela_train.config import PRESETS, FinetuneConfig, Objective, Preset  # noqa: E402
from revela_train.exam import Exam  # noqa: E402
from revela_train.export import ExportMismatchError  # noqa: E402
from revela_train.precision import Precision  # noqa: E402
from revela_train.transformer import HubLM, Pooling, TransformerRetriever, adapters, merged  # noqa: E402
from tests.train import families  # noqa: E402

TEXTS = ["def retry attempt wait backoff", "the total price of the basket", "open file " * 90, "close"]
EVERY = [*families.ENCODERS, *families.CAUSAL]

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch's exporter says of itself


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {family: families.write(folder / family, family) for family in EVERY}


def opened(folder: Path) -> TransformerRetriever:
    return TransformerRetriever.open(hub.find(str(folder)))


@pytest.mark.parametrize("family", EVERY)
def test_a_vector_is_the_pooled_states_and_padding_changes_nothing(family: str, checkpoints: dict[str, Path]) -> None:
    retriever = opened(checkpoints[family])
    causal = family in families.CAUSAL
    assert retriever.pooling is (Pooling.LAST if causal else Pooling.MEAN)
    together = retriever.encode(TEXTS, "passage")
    alone = np.concatenate([retriever.encode([text], "passage") for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    ids, mask = retriever.tokenise(TEXTS[:1], "passage")
    with torch.no_grad():
        states = retriever.model(input_ids=ids, attention_mask=mask).last_hidden_state[0]
    expected = states[-1] if causal else states.mean(0)
    np.testing.assert_allclose(together[0], (expected / expected.norm()).numpy(), atol=1e-5)


def test_a_causal_model_reads_a_prefix_and_up_to_an_end_token_however_a_text_is_cut(
    checkpoints: dict[str, Path],
) -> None:
    retriever = opened(checkpoints["llama"])
    begin, end = (retriever.tokenizer.token_to_id(token) for token in ("<s>", "</s>"))

    def words(text: str) -> list[int]:
        retriever.tokenizer.no_truncation()
        return list(retriever.tokenizer.encode("query: " + text, add_special_tokens=False).ids)

    def read(text: str, **how: Any) -> list[int]:
        return list(retriever.tokenise([text], "query", **how)[0][0].tolist())

    assert read(TEXTS[0]) == [begin, *words(TEXTS[0]), end]
    assert read(TEXTS[2]) == [begin, *words(TEXTS[2])[: 128 - 2], end]
    assert read(TEXTS[2], longest=8) == [begin, *words(TEXTS[2])[: 8 - 2], end]
    assert read(TEXTS[0], half=True) == [begin, *words(TEXTS[0])[: len(words(TEXTS[0])) // 2], end]


def test_a_folder_says_how_it_is_pooled_and_prompted(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    folder = Path(shutil.copytree(checkpoints["bert"], tmp_path / "bert"))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true, "include_prompt": true}')
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "find ", "document": ""}}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    retriever = opened(folder)
    assert (retriever.pooling, retriever.longest) == (Pooling.FIRST, 16)
    assert retriever.prefixes == {"query": "find ", "passage": ""}
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(UsageError, match="pooling_mode_max_tokens"):
        opened(folder)


def test_what_is_not_data_alone_or_does_not_fit_is_refused_before_any_work(
    tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, match in [
        (str(tmp_path), "no config.json"),
        ("./nowhere", "is no folder"),
        ("a b", "is no folder"),
        ("nobody/nothing", "hub can not be reached"),
    ]:
        with pytest.raises(UsageError, match=match):
            hub.find(name)
    folder = Path(shutil.copytree(checkpoints["bert"], tmp_path / "pickled"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="Pickled ones run code"):
        hub.find(str(folder))
    said = json.loads((folder / "config.json").read_text())
    ours = {"model_type": "ours", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (folder / "config.json").write_text(json.dumps(said | ours))
    with pytest.raises(UsageError, match="code of its own"):
        hub.find(str(folder))
    assert not (tmp_path / "ran").exists()
    (folder / "config.json").write_text("{")
    with pytest.raises(UsageError, match="can not be read"):
        hub.find(str(folder))
    config = PRESETS[Preset.REPOSITORY]
    with pytest.raises(UsageError, match="causal LM"):
        HubLM.open(hub.find(str(checkpoints["nomic_bert"])), longest=64)
    monkeypatch.setattr(hub, "free_memory", lambda _: 10**6)
    with pytest.raises(UsageError, match=r"GB of memory, and 0\.0 GB are free"):
        backbone.prepare(str(checkpoints["bert"]), None, config)
    with pytest.raises(UsageError, match="--lm"):
        backbone.prepare(str(checkpoints["bert"]), None, FinetuneConfig(objective=Objective.REVELA))


def test_adapters_are_all_that_is_learnt_and_merge_into_the_weights(checkpoints: dict[str, Path]) -> None:
    retriever = opened(checkpoints["qwen2"])
    before = retriever.encode(TEXTS, "query")
    retriever.model = adapters(retriever.model, 4, 8, 0.0)
    learnt = [name for name, one in retriever.named_parameters() if one.requires_grad]
    assert learnt and all("lora_" in name for name in learnt)
    np.testing.assert_allclose(retriever.encode(TEXTS, "query"), before, atol=1e-6)
    with torch.no_grad():
        for name, one in retriever.named_parameters():
            if "lora_B" in name:
                one.normal_(generator=torch.Generator().manual_seed(0))
    after = retriever.encode(TEXTS, "query")
    assert np.abs(after - before).max() > 0.01
    retriever.model = merged(retriever.model)
    assert not any("lora_" in name for name, _ in retriever.named_parameters())
    np.testing.assert_allclose(retriever.encode(TEXTS, "query"), after, atol=1e-5)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(autouse=True)
def _exported_once(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's exporter, which takes seconds, write each family once: its weights are the same in every test."""
    write = export_transformer._write

    def kept(retriever: TransformerRetriever, folder: Path) -> None:
        one = exports / f"{retriever.model.config.model_type}-{export_transformer._LARGE}"  # type: ignore[union-attr]
        if not one.exists():
            write(retriever, one)
        shutil.copytree(one, folder)

    monkeypatch.setattr(export_transformer, "_write", kept)


BLOCKED = """
import json, sys
sys.modules |= dict.fromkeys(["torch", "transformers", "onnx", "onnxscript", "peft"])  # as if they were not installed
from codesearch.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, arguments
"""


@pytest.mark.parametrize("family", EVERY)
def test_a_bundle_of_each_family_answers_in_a_process_without_torch(
    family: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    exam = Exam(("retry backoff", "price of the basket"), tuple(TEXTS), ("", "", "", ""), ((0,), (1,)))
    retriever = opened(checkpoints[family])
    made = export_transformer.export(
        retriever, tmp_path / "bundle", name=family, texts=TEXTS, exam=exam, provenance={"base": "random"}
    )
    said = made.description
    assert (said.architecture, said.normalise, said.adapted) == (family, "none", False)
    ndcg, precision = said.provenance["ndcg"], said.provenance["precision"]
    assert precision == ("int8" if ndcg["int8"] >= ndcg["float32"] - export_transformer.LOSS else "float32")
    assert {file.name for file in made.folder.iterdir()} == {"bundle.json", "model.onnx", "tokenizer.json"}
    assert [folder.name for folder in tmp_path.iterdir()] == ["bundle"]
    root = tmp_path / "shop"
    root.mkdir()
    (root / "retry.py").write_text('def retry(call):\n    """Wait and attempt again."""\n    return call()\n')
    (root / "basket.py").write_text("def total(items):\n    return sum(item.price for item in items)\n")
    environ = os.environ | {"CODESEARCH_MODEL": str(made.folder), "CODESEARCH_NO_SERVER": "1"}

    commands = [["index", "."], ["ask", "retry call", "--json", "--min-score", "0"], ["status", "--json"]]
    command = [sys.executable, "-c", BLOCKED, json.dumps(commands)]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer, end = json.JSONDecoder().raw_decode(done.stdout)
    assert answer["results"][0]["path"] == "retry.py"
    assert json.loads(done.stdout[end:])["model"]["name"] == family
    with Workspace.open(root, model=made) as workspace:
        assert weights(workspace.snapshot().encoder) is CONTEXTUAL
        reasons = [dict(hit.reasons) for hit in workspace.ask("retry call", min_score=0).hits]
    # What is nearest has all of the weight; by random weights, nothing may be near.
    assert max(its.get("nearest", 0) for its in reasons) in (0, CONTEXTUAL.chunk["nearest"].value)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.INT8])
def test_a_model_too_large_for_one_file_has_its_weights_beside_it(
    precision: Precision, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_transformer, "_LARGE", 0)
    monkeypatch.setattr(export_transformer, "LOSS", 1 if precision is Precision.INT8 else -1)
    exam = Exam(("retry backoff",), tuple(TEXTS), ("", "", "", ""), ((0,),))
    made = export_transformer.export(
        opened(checkpoints["bert"]), tmp_path / "bundle", name="large", texts=TEXTS, exam=exam, provenance={}
    )
    assert made.description.provenance["precision"] == precision
    assert "model.onnx.data" in made.description.files
    assert OnnxEncoder(made).encode(TEXTS, "query").shape == (len(TEXTS), 32)


def test_int8_that_answers_worse_is_not_kept_and_a_wrong_export_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = SimpleNamespace(
        questions=("asked",),
        ndcg=lambda encoder: 0.9 if encoder._description.provenance["precision"] == "float32" else 0.89,
    )
    retriever = opened(checkpoints["bert"])
    said = {"name": "bert", "texts": TEXTS, "provenance": {}}
    made = export_transformer.export(retriever, tmp_path / "bundle", exam=worse, **said)  # type: ignore[arg-type]
    assert made.description.provenance["precision"] == Precision.FLOAT32
    np.testing.assert_allclose(OnnxEncoder(made).encode(TEXTS, "query"), retriever.encode(TEXTS, "query"), atol=1e-5)
    monkeypatch.setattr(retriever, "encode", lambda texts, role: np.ones((len(texts), 32), np.float32))
    with pytest.raises(ExportMismatchError, match="differs"):
        export_transformer.export(retriever, tmp_path / "bundle", exam=worse, **said)  # type: ignore[arg-type]
    assert load(tmp_path / "bundle").fingerprint == made.fingerprint, "what was there stays"
