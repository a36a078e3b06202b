"""pesq_score.py RATE REFERENCE.wav HEARD.wav: how well speech came through, ITU-T P.862.2 (16000) or P.862 (8000).

Prints one JSON object: `pesq`, the score (mean opinion score, listening quality); `delay_ms`, by how much later HEARD
begins; `heard_s`, its length. What was heard is first cut to where the reference lies in it (cross-correlation)."""
import json
import sys
import wave

import numpy
import pesq


def samples(path, rate):
    with wave.open(path) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise SystemExit('%s: want mono, 16 bit' % path)
        own = file.getframerate()
        signal = numpy.frombuffer(file.readframes(file.getnframes()), '<i2').astype(numpy.float64)
    if own == 2 * rate:         # low-pass by windowed sinc, then every second one
        taps = numpy.sinc(numpy.arange(-64, 65) / 2) * numpy.hamming(129)
        signal = numpy.convolve(signal, taps / taps.sum(), 'same')[::2]
    elif own != rate:
        raise SystemExit('%s: %d Hz instead of %d' % (path, own, rate))
    return signal


def main():
    rate = int(sys.argv[1])
    reference, heard = (samples(path, rate) for path in sys.argv[2:])
    size = 1 << (len(reference) + len(heard)).bit_length()
    spectrum = numpy.fft.rfft(heard, size) * numpy.conj(numpy.fft.rfft(reference, size))
    lags = numpy.fft.irfft(spectrum, size)
    delay = int(numpy.argmax(lags))
    delay -= size if delay >= len(heard) else 0         # behind its end lie the lags below zero
    cut = heard[delay:] if delay > 0 else numpy.concatenate([numpy.zeros(-delay), heard])
    length = min(len(cut), len(reference))
    score = pesq.pesq(rate, reference[:length], cut[:length], 'wb' if rate == 16000 else 'nb')
    print(json.dumps({'pesq': round(float(score), 3), 'delay_ms': round(1000 * delay / rate, 1),
                      'heard_s': round(len(heard) / rate, 2)}))


main()
