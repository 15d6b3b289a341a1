"""What is particular to each detector, and the thresholds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from staged.detectors.kinds import roberta, tfidf
from staged.errors import CheckpointError, PlanError
from staged.records import MACHINE
from staged.stats.thresholds import best_threshold, threshold_at_fpr
from staged.training.roberta import RobertaSettings, train_roberta, training_view
from tests.test_detector_contract import documents


class TestTfidf:
    def test_equals_scikit_learns_own_pipeline(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        train, valid = documents("train", 60, 0), documents("valid", 20, 2000)
        ours = tfidf.train_tfidf(train, valid)
        pipeline = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=2**21),
            LogisticRegression(C=ours.facts["C"], solver="liblinear"),
        ).fit([d.text for d in train], [d.label for d in train])
        expected = pipeline.decision_function([d.text for d in valid])
        assert ours.score([d.text for d in valid]) == pytest.approx(expected.tolist(), abs=1e-9)

    def test_nothing_in_common(self) -> None:
        train = documents("train", 2, 0)[:2]
        with pytest.raises(CheckpointError, match="give more texts"):
            tfidf.train_tfidf(train, train)


class TestRoberta:
    def test_label_order_of_hub_files(self) -> None:
        assert roberta.machine_index({0: "Fake", 1: "Real"}, "x") == 0
        assert roberta.machine_index({0: "human", 1: "machine"}, "x") == 1
        assert (
            roberta.machine_index({0: "LABEL_0", 1: "LABEL_1"}, "roberta-large-openai-detector")
            == 0
        )
        with pytest.raises(CheckpointError, match="don't say which means machine"):
            roberta.machine_index({0: "LABEL_0", 1: "LABEL_1"}, "x")
        with pytest.raises(CheckpointError, match="3 labels"):
            roberta.machine_index({0: "a", 1: "b", 2: "c"}, "x")

    def test_fake_first_files_score_by_our_convention(
        self, tiny_encoder: Path, tmp_path: Path
    ) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(1)
        model = AutoModelForSequenceClassification.from_pretrained(
            tiny_encoder, num_labels=2, id2label={0: "Fake", 1: "Real"}
        )
        tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        found = roberta.load_roberta(str(tmp_path))
        score = found.score(["The river keeps the bridge"])[0]
        total, read = found.token_counts("The river keeps the bridge. " * 500)
        assert total > read == found.max_tokens
        with torch.no_grad():
            fake, real = (
                model.eval()(**tokenizer("The river keeps the bridge", return_tensors="pt"))
                .logits[0]
                .tolist()
            )
        assert score == pytest.approx(fake - real, abs=1e-5)

    def test_training_views(self) -> None:
        ids = list(range(100, 300))
        stream = np.random.default_rng(1)
        plain = RobertaSettings(crop=False, max_tokens=50)
        assert training_view(ids, plain, 3, stream) == ids[:50]
        starts = {
            training_view(ids, RobertaSettings(max_tokens=50), 3, stream)[0] for _ in range(400)
        }
        assert min(starts) < 105
        assert max(starts) > 245
        lengths = [
            len(training_view(ids, RobertaSettings(max_tokens=50, random_length=True), 3, stream))
            for _ in range(900)
        ]
        assert (min(lengths), max(lengths)) == (10, 50)
        dropped = training_view(
            ids * 20, RobertaSettings(max_tokens=4000, token_dropout=0.3), 3, stream
        )
        assert dropped.count(3) / 4000 == pytest.approx(0.3, abs=0.03)
        assert training_view([], RobertaSettings(random_length=True), 3, stream) == []

    def test_killed_between_epochs_ends_the_same(self, tiny_encoder: Path, tmp_path: Path) -> None:
        train, valid = documents("train", 30, 0), documents("valid", 10, 2000)
        settings = RobertaSettings(base=str(tiny_encoder), epochs=3, learning_rate=3e-3)
        whole = train_roberta(train, valid, settings, checkpoint=tmp_path / "a.pt")

        def stop(done: int, total: int) -> None:
            if done == total - 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_roberta(train, valid, settings, checkpoint=tmp_path / "b.pt", progress=stop)
        again = train_roberta(train, valid, settings, checkpoint=tmp_path / "b.pt")
        texts = [d.text for d in valid]
        assert again.score(texts) == whole.score(texts)

    def test_unknown_base(self, tmp_path: Path) -> None:
        settings = RobertaSettings(base=str(tmp_path))
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            train_roberta([], [], settings, checkpoint=tmp_path / "c.pt")

    def test_bad_settings(self) -> None:
        with pytest.raises(PlanError, match="token_dropout"):
            RobertaSettings(token_dropout=1.0)


class TestThresholds:
    def test_conformal_rate_by_hand(self) -> None:
        scores = [float(i) for i in range(99)]
        assert threshold_at_fpr(scores, 0.01) == 98.0  # nothing may exceed it
        assert threshold_at_fpr(scores, 0.05) == 94.0
        assert threshold_at_fpr(scores[:98], 0.01) == math.inf

    @given(
        st.lists(st.floats(-10, 10), min_size=1, max_size=300), st.sampled_from([0.01, 0.05, 0.2])
    )
    def test_conformal_p_is_at_most_the_rate_above_it_and_not_below(
        self, scores: list[float], fpr: float
    ) -> None:
        cut = threshold_at_fpr(scores, fpr)

        def p_value(score: float) -> float:
            return (1 + sum(one >= score for one in scores)) / (len(scores) + 1)

        if cut == math.inf:
            assert p_value(math.inf) > fpr
        else:
            assert p_value(np.nextafter(cut, math.inf)) <= fpr + 1e-12
            assert p_value(cut) > fpr - 1e-12

    def test_rate_holds_on_new_texts(self) -> None:
        stream = np.random.default_rng(2)
        rates = [
            (
                stream.normal(size=400) > threshold_at_fpr(stream.normal(size=250).tolist(), 0.05)
            ).mean()
            for _ in range(400)
        ]
        assert np.mean(rates) == pytest.approx(0.05 * 250 / 251, abs=0.004)

    @given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 1)), min_size=1, max_size=40))
    def test_no_threshold_is_better(self, rows: list[tuple[int, int]]) -> None:
        scores, labels = [float(s) for s, _ in rows], [label for _, label in rows]

        def right(cut: float) -> int:
            return sum(
                (s > cut) == (label == MACHINE) for s, label in zip(scores, labels, strict=True)
            )

        assert right(best_threshold(scores, labels)) == max(
            right(cut / 2) for cut in range(-14, 15)
        )
