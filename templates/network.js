"use strict";
// The trained network, for one image at a time: the forward passes of src/nn in plain JavaScript.
//
// A layer of the network is { kind, number, letters, input, output, weights }: the name of its kind,
// the number and the lettered numbers of its text ("conv32k5p2": 32, { k: 5, p: 2 }), the shapes of
// its input and output, and the elements of its tensors, one tensor after the other. Shapes are
// (C, H, W) for images, (C, L) or (T, F) for signals and tokens, and (F) for features; all arrays
// are row-major. Sums are in f64, the weights are the f32 of the checkpoint.

/** Shape (C, H, W); a signal has one row. */
const asImage = shape => (shape.length === 3 ? shape : [shape[0], 1, shape[1]]);

/** Number of elements of a shape. */
const length = shape => shape.reduce((product, size) => product * size, 1);

/** Windows along the rows and the columns: side, stride and padding; those of a signal have one row. */
function windows(layer, side, stride) {
  const columns = { side, stride: layer.letters.s ?? stride, padding: layer.letters.p ?? 0 };
  const one = { side: 1, stride: 1, padding: 0 };
  return [layer.input.length === 3 ? columns : one, columns];
}

/** Places of a window, [first, end), that lie on an axis of `size` elements. */
function inside(window, place, size) {
  const start = place * window.stride - window.padding;
  return [Math.max(start, 0), Math.min(start + window.side, size)];
}

/** y[o,i,j] = b[o] + Σ x[c, i·s + m − p, j·s + k − p]·w[o,c,m,k] */
function convolution(x, layer) {
  const [rows, columns] = windows(layer, layer.letters.k, 1);
  const [channels, height, width] = asImage(layer.input);
  const [outputs, outHeight, outWidth] = asImage(layer.output);
  const taps = channels * rows.side * columns.side;
  const bias = layer.weights.subarray(outputs * taps);
  const y = new Float64Array(outputs * outHeight * outWidth);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < outHeight; i++) {
      const [top, bottom] = inside(rows, i, height);
      for (let j = 0; j < outWidth; j++) {
        const [left, right] = inside(columns, j, width);
        let sum = bias[o];
        for (let c = 0; c < channels; c++) {
          for (let h = top; h < bottom; h++) {
            const m = h - i * rows.stride + rows.padding;
            const pixels = (c * height + h) * width;
            const kernel = ((o * channels + c) * rows.side + m) * columns.side
              - j * columns.stride + columns.padding;
            for (let l = left; l < right; l++) sum += x[pixels + l] * layer.weights[kernel + l];
          }
        }
        y[(o * outHeight + i) * outWidth + j] = sum;
      }
    }
  }
  return y;
}

/** `pool` of the pixels under each window; padding does not count. */
function pooling(x, layer, pool) {
  const [rows, columns] = windows(layer, layer.number, layer.number);
  const [channels, height, width] = asImage(layer.input);
  const [, outHeight, outWidth] = asImage(layer.output);
  const y = new Float64Array(channels * outHeight * outWidth);
  let at = 0;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < outHeight; i++) {
      for (let j = 0; j < outWidth; j++) {
        const pixels = [];
        const [top, bottom] = inside(rows, i, height);
        const [left, right] = inside(columns, j, width);
        for (let h = top; h < bottom; h++) {
          for (let l = left; l < right; l++) pixels.push(x[(c * height + h) * width + l]);
        }
        y[at++] = pool(pixels);
      }
    }
  }
  return y;
}

/** `pool` of each row of `size` elements. */
function ofRows(x, size, pool) {
  const y = new Float64Array(x.length / size);
  return y.map((_, row) => pool(x.subarray(row * size, (row + 1) * size)));
}

const maximum = values => values.reduce((most, value) => Math.max(most, value), -Infinity);
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

/** y[n,o] = b[o] + Σ_f x[n,f]·w[o,f], for every row of x. */
function product(x, weight, bias) {
  const outputs = bias.length;
  const features = weight.length / outputs;
  const y = new Float64Array(x.length / features * outputs);
  for (let n = 0; n < x.length / features; n++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let f = 0; f < features; f++) sum += x[n * features + f] * weight[o * features + f];
      y[n * outputs + o] = sum;
    }
  }
  return y;
}

/** exp(x − M)/Σ exp(x − M) in every row of `size` elements, where M is its maximum. */
function softmax(x, size) {
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += size) {
    const row = x.subarray(first, first + size);
    const most = maximum(row);
    const powers = row.map(value => Math.exp(value - most));
    const sum = powers.reduce((sum, power) => sum + power, 0);
    y.set(powers.map(power => power / sum), first);
  }
  return y;
}

const logistic = x => 1 / (1 + Math.exp(-x));

/** 1 − erf(x), to 1.2e-7 of its value (Press et al., "Numerical Recipes in C", section 6.2, erfcc). */
function erfc(x) {
  const t = 1 / (1 + Math.abs(x) / 2);
  const factors = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807,
    -1.13520398, 1.48851587, -0.82215223, 0.17087277];
  const polynomial = factors.reduceRight((sum, factor) => sum * t + factor, 0);
  const result = t * Math.exp(-x * x + polynomial);
  return x < 0 ? 2 - result : result;
}

/** Consecutive parts of `values` with these `lengths`. */
function parts(values, ...lengths) {
  let first = 0;
  return lengths.map(count => values.subarray(first, first += count));
}

/** Normalizes every row of the last axis: (x − μ)/√(σ² + 1e-6)·w + b. */
function layernorm(x, layer) {
  const size = layer.input.at(-1);
  const [weight, bias] = parts(layer.weights, size, size);
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += size) {
    const row = x.subarray(first, first + size);
    const centre = mean(row);
    const scale = 1 / Math.sqrt(mean(row.map(value => (value - centre) ** 2)) + 1e-6);
    y.set(row.map((value, f) => (value - centre) * scale * weight[f] + bias[f]), first);
  }
  return y;
}

/** Normalizes every channel by the running statistics: (x − rμ)/√(rσ² + 1e-5)·w + b. */
function batchnorm(x, layer) {
  const channels = layer.input[0];
  const positions = x.length / channels;
  const [weight, bias, means, variances] = parts(layer.weights, ...Array(4).fill(channels));
  return x.map((value, at) => {
    const c = Math.floor(at / positions);
    return (value - means[c]) / Math.sqrt(variances[c] + 1e-5) * weight[c] + bias[c];
  });
}

/** y[i·(W/K) + j, c·K·K + m·K + k] = x[c, i·K + m, j·K + k] */
function patches(x, layer) {
  const [channels, height, width] = layer.input;
  const side = layer.number;
  const y = new Float64Array(x.length);
  let at = 0;
  for (let top = 0; top < height; top += side) {
    for (let left = 0; left < width; left += side) {
      for (let c = 0; c < channels; c++) {
        for (let h = top; h < top + side; h++) {
          for (let l = left; l < left + side; l++) y[at++] = x[(c * height + h) * width + l];
        }
      }
    }
  }
  return y;
}

/** The tokens in their order, with gates i, f, g, o: c = f∘c + i∘g, h = o∘tanh(c). */
function lstm(x, layer) {
  const [tokens, features] = layer.input;
  const units = layer.number;
  const [inputs, hidden, inputBias, hiddenBias] =
    parts(layer.weights, 4 * units * features, 4 * units * units, 4 * units, 4 * units);
  const y = new Float64Array(tokens * units);
  const cells = new Float64Array(units);
  let before = new Float64Array(units);
  for (let t = 0; t < tokens; t++) {
    const ofToken = product(x.subarray(t * features, (t + 1) * features), inputs, inputBias);
    const ofBefore = product(before, hidden, hiddenBias);
    const z = ofToken.map((value, gate) => value + ofBefore[gate]);
    const [i, f, g, o] = parts(z, units, units, units, units);
    cells.forEach((cell, unit) => {
      cells[unit] = logistic(f[unit]) * cell + logistic(i[unit]) * Math.tanh(g[unit]);
    });
    before = cells.map((cell, unit) => logistic(o[unit]) * Math.tanh(cell));
    y.set(before, t * units);
  }
  return y;
}

/** Softmax(Q·Kᵀ/√d)·V of every head, between the projections of input and output. */
function attention(x, layer) {
  const [tokens, features] = layer.input;
  const depth = features / layer.number;
  const [inWeight, inBias, outWeight, outBias] =
    parts(layer.weights, 3 * features * features, 3 * features, features * features, features);
  const rows = product(x, inWeight, inBias);
  const outputs = new Float64Array(x.length);
  for (let head = 0; head < layer.number; head++) {
    const element = (part, t, d) => rows[(t * 3 + part) * features + head * depth + d];
    const scores = new Float64Array(tokens * tokens).map((_, at) => {
      let sum = 0;
      for (let d = 0; d < depth; d++) {
        sum += element(0, Math.floor(at / tokens), d) * element(1, at % tokens, d);
      }
      return sum / Math.sqrt(depth);
    });
    const shares = softmax(scores, tokens);
    for (let t = 0; t < tokens; t++) {
      for (let d = 0; d < depth; d++) {
        let sum = 0;
        for (let u = 0; u < tokens; u++) sum += shares[t * tokens + u] * element(2, u, d);
        outputs[t * features + head * depth + d] = sum;
      }
    }
  }
  return product(outputs, outWeight, outBias);
}

const same = x => x;

/** Forward pass of each kind of layer, by its name in the network language. */
const LAYERS = {
  conv: convolution,
  conv1d: convolution,
  maxpool: (x, layer) => pooling(x, layer, maximum),
  avgpool: (x, layer) => pooling(x, layer, mean),
  globalavgpool: (x, layer) => ofRows(x, x.length / layer.input[0], mean),
  globalmaxpool: (x, layer) => ofRows(x, x.length / layer.input[0], maximum),
  relu: x => x.map(value => Math.max(value, 0)),
  sigmoid: x => x.map(logistic),
  tanh: x => x.map(Math.tanh),
  gelu: x => x.map(value => value * erfc(-value * Math.SQRT1_2) / 2),
  softmax: (x, layer) => softmax(x, layer.input.at(-1)),
  dropout: same,
  batchnorm,
  layernorm,
  flatten: same,
  fc: (x, layer) => product(x, ...parts(layer.weights, layer.weights.length - layer.number, layer.number)),
  channels: same,
  rows: same,
  patches,
  pos: (x, layer) => x.map((value, at) => value + layer.weights[at]),
  attn: attention,
  lstm,
  last: (x, layer) => x.subarray(x.length - layer.input.at(-1)),
  mean: (x, layer) => {
    const [tokens, features] = layer.input;
    const sums = new Float64Array(features);
    x.forEach((value, at) => { sums[at % features] += value; });
    return sums.map(sum => sum / tokens);
  },
};

/** Bytes of a text in base64. */
const bytesOf = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));

/** Network of a description { layers, blocks } and its weights in base64, little-endian f32. */
function networkOf(description, base64) {
  const view = new DataView(bytesOf(base64).buffer);
  const weights = new Float32Array(view.byteLength / 4).map((_, at) => view.getFloat32(4 * at, true));
  const layers = description.layers.map(layer => {
    const letters = {};
    for (const [, letter, digits] of layer.settings.matchAll(/([a-z])(\d+)/g)) letters[letter] = Number(digits);
    const number = parseFloat(layer.settings);
    return { ...layer, number, letters, weights: weights.subarray(...layer.parameters) };
  });
  return { ...description, layers };
}

/** Logits of one image, whose `pixels` are 0 to 255. A residual block adds its own input. */
function logitsOf(network, pixels) {
  let x = Float64Array.from(pixels, pixel => pixel / 255);
  const open = [];
  network.layers.forEach((layer, index) => {
    for (const [first] of network.blocks) if (first === index) open.push(x);
    x = LAYERS[layer.kind](x, layer);
    for (const [, end] of network.blocks) {
      if (end !== index + 1) continue;
      const input = open.pop();
      x = x.map((value, at) => value + input[at]);
    }
  });
  return x;
}
