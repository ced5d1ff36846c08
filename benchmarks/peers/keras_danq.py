"""DanQ in Keras 3, with the weights of ours: the same layers, channels last as Keras has them."""

from typing import Any

import numpy as np
from torch import nn


def keras_danq(model: Any, *, dropout: bool = False) -> Any:
    """Return a Keras model of one-hot `(batch, 1000, 4)` to probabilities `(batch, target)`."""
    import keras

    sizes = model.architecture["sizes"]
    layers: list[Any] = [
        keras.layers.Input((model.architecture["window_bp"], 4)),
        keras.layers.Conv1D(sizes["filters"], sizes["filter_width"], activation="relu"),
        keras.layers.MaxPooling1D(sizes["pool_width"]),
    ]
    if dropout:
        layers.append(keras.layers.Dropout(sizes["dropout_conv"]))
    for _ in range(sizes["lstm_layers"]):
        lstm = keras.layers.LSTM(sizes["lstm_units"], return_sequences=True)
        layers.append(keras.layers.Bidirectional(lstm))
    if dropout:
        layers.append(keras.layers.Dropout(sizes["dropout_head"]))
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(sizes["dense_units"], activation="relu"),
        keras.layers.Dense(model.architecture["targets"], activation="sigmoid"),
    ]
    network = keras.Sequential(layers)
    weighted = [layer for layer in network.layers if layer.weights]
    for layer, weights in zip(weighted, _weights(model, sizes["lstm_layers"]), strict=True):
        layer.set_weights(weights)
    return network


def _weights(model: Any, lstm_layers: int) -> list[list[Any]]:
    """Return the weights of each layer as Keras stores them."""

    def array(weight: nn.Parameter) -> Any:
        return weight.detach().cpu().numpy()

    per_layer = [[array(model.conv.weight).transpose(2, 1, 0), array(model.conv.bias)]]
    for number in range(lstm_layers):
        weights = []
        for direction in (f"l{number}", f"l{number}_reverse"):
            inputs, state, bias, other = (
                array(getattr(model.lstm, f"{name}_{direction}"))
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            weights += [inputs.T, state.T, bias + other]  # Keras has one bias; gates in one order
        per_layer.append(weights)
    for layer in (model.dense, model.output):
        per_layer.append([np.ascontiguousarray(array(layer.weight).T), array(layer.bias)])
    return per_layer
