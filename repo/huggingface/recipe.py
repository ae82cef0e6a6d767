from tykky import PipStack


class Huggingface(PipStack):
    """Models and data sets from the Hugging Face hub; tokens, ONNX Runtime.

    Transformers without a framework
    (PyTorch, JAX): it loads configurations and makes tokens; models run by ONNX
    Runtime, on processors. For PyTorch, 'tykky extend' a stack that has it.
    """

    homepage = "https://huggingface.co/docs"
    license = "Apache-2.0 AND MIT"
    versions = "26.11"
    python = "3.11"
    commands = "hf", "transformers", "python*", "pip*"
    keywords = "machine learning", "language models", "transformers", "ONNX"
    family = "python_env"
    env = {"HF_HUB_DISABLE_TELEMETRY": "1"}

    packages = (
        *("transformers", "tokenizers", "sentencepiece", "safetensors"),
        *("datasets", "evaluate", "huggingface-hub", "onnxruntime", "onnx"),
    )

    def test(self, box):
        offline = {"HF_HUB_OFFLINE": "1"}
        box.run("hf version && hf --help > /dev/null", env=offline)
        box.run(
            """
            python - << END
            from tokenizers import Tokenizer, models, pre_tokenizers, trainers
            from transformers import PreTrainedTokenizerFast

            t = Tokenizer(models.BPE(unk_token="?"))
            t.pre_tokenizer = pre_tokenizers.Whitespace()
            trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=["?"])
            t.train_from_iterator(["low lower lowest"] * 9, trainer)
            PreTrainedTokenizerFast(tokenizer_object=t, unk_token="?").save_pretrained("mine")
            mine = PreTrainedTokenizerFast.from_pretrained("mine")
            assert mine.tokenize("lowest") == ["lowest"], mine.tokenize("lowest")
            END
            """,
            env=offline,
            say="tokens, trained, saved and loaded",
        )
        box.run(
            """
            python - << END
            import datasets

            data = datasets.Dataset.from_dict({"x": list(range(100))})
            data = data.map(lambda row: {"y": row["x"] ** 2}).filter(lambda row: row["y"] > 50)
            data.save_to_disk("squares")
            assert len(datasets.load_from_disk("squares")) == 92
            END
            """,
            env=offline,
            say="a data set, changed and saved",
        )
        box.run(
            """
            python - << END
            import numpy
            import onnxruntime
            from onnx import TensorProto, helper

            x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None]) for n in "xy")
            graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
            opset = [helper.make_opsetid("", 17)]
            model = helper.make_model(graph, opset_imports=opset, ir_version=9)
            session = onnxruntime.InferenceSession(model.SerializeToString())
            (out,) = session.run(None, {"x": numpy.array([-1, 2], numpy.float32)})
            assert list(out) == [0, 2]
            END
            """,
            say="a model, run by ONNX Runtime",
        )
