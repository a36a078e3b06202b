//! WAV files: anything a person may have becomes 16 kHz mono; recordings are readable at any moment.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

use crate::dsp::{RateError, Resampler};

/// Samples in a second of all audio inside.
const RATE_HZ: u32 = 16_000;
/// A file is read up to here (10 minutes); the rest is left out. It is held in memory: 19 MB.
const READ_SECONDS_MAX: u32 = 600;
/// A recording ends here (8 hours, 1.8 GB in stereo): further audio is an error.
const RECORD_SECONDS_MAX: u32 = 8 * 3600;
/// The header says the truth at least so often; what came later is lost if the process dies.
const HEADER_SECONDS: u32 = 2;

/// Why a file cannot be read or written.
#[derive(Debug, Error)]
pub enum WavError {
    /// It is no WAV file of PCM, or the disk failed.
    #[error("WAV file: {0}")]
    File(#[from] hound::Error),
    /// A rate below 8 or above 48 kHz.
    #[error("WAV file: {0}")]
    Rate(#[from] RateError),
    /// The recording has reached its limit.
    #[error("the recording is longer than {RECORD_SECONDS_MAX} s")]
    Full,
}

/// Reads a file of 8 to 32 bits or floats, any number of channels, 8 to 48 kHz, as 16 kHz mono.
pub fn read(path: &Path) -> Result<Vec<i16>, WavError> {
    let mut reader = WavReader::open(path)?;
    let spec = reader.spec();
    let mut resampler = Resampler::new(spec.sample_rate, RATE_HZ)?;
    let channels = usize::from(spec.channels.max(1));
    let mut samples = Vec::new();
    let mut mix = Mix { channels, sum: 0.0, count: 0 };
    let limit = spec.sample_rate as usize * READ_SECONDS_MAX as usize * channels;
    let mut put = |sample: f32| {
        if let Some(mono) = mix.add(sample) {
            resampler.process(&[mono], |out| samples.extend_from_slice(out));
        }
    };
    match spec.sample_format {
        SampleFormat::Float => {
            for sample in reader.samples::<f32>().take(limit) {
                put(sample?);
            }
        }
        SampleFormat::Int => {
            let full_scale = (1u64 << spec.bits_per_sample.clamp(1, 32).saturating_sub(1)) as f32;
            for sample in reader.samples::<i32>().take(limit) {
                put(sample? as f32 / full_scale);
            }
        }
    }
    if spec.sample_rate != RATE_HZ {
        // What the filter still holds.
        resampler.process(&[0; 256], |out| samples.extend_from_slice(out));
    }
    Ok(samples)
}

/// The mean of the channels.
struct Mix {
    channels: usize,
    sum: f32,
    count: usize,
}

impl Mix {
    fn add(&mut self, sample: f32) -> Option<i16> {
        self.sum += sample;
        self.count += 1;
        if self.count < self.channels {
            return None;
        }
        let mean = self.sum / self.channels as f32;
        (self.sum, self.count) = (0.0, 0);
        // The cast saturates; NaN becomes silence.
        Some((mean * 32768.0).round() as i16)
    }
}

/// A recording of 16 kHz, being written. It is a valid file from the beginning, and complete when dropped.
pub struct Recording {
    writer: WavWriter<BufWriter<File>>,
    samples: u32,
    samples_at_header: u32,
}

impl Recording {
    /// A new file, or an old one overwritten, with one or two channels.
    pub fn create(path: &Path, channels: u16) -> Result<Self, WavError> {
        let spec = WavSpec {
            channels: channels.clamp(1, 2),
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(path, spec)?;
        writer.flush()?;
        Ok(Self { writer, samples: 0, samples_at_header: 0 })
    }

    /// Adds samples of each channel; the shorter one goes on in silence. A mono recording takes the first alone.
    pub fn write(&mut self, left: &[i16], right: &[i16]) -> Result<(), WavError> {
        let stereo = self.writer.spec().channels == 2;
        let len = if stereo { left.len().max(right.len()) } else { left.len() };
        if self.samples.saturating_add(len as u32) > RECORD_SECONDS_MAX * RATE_HZ {
            return Err(WavError::Full);
        }
        for index in 0..len {
            self.writer.write_sample(left.get(index).copied().unwrap_or(0))?;
            if stereo {
                self.writer.write_sample(right.get(index).copied().unwrap_or(0))?;
            }
        }
        self.samples += len as u32;
        if self.samples - self.samples_at_header >= HEADER_SECONDS * RATE_HZ {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes a whole file of what was written so far; more may follow.
    pub fn flush(&mut self) -> Result<(), WavError> {
        self.samples_at_header = self.samples;
        Ok(self.writer.flush()?)
    }

    /// Samples of a channel so far.
    pub fn len(&self) -> u32 {
        self.samples
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Completes the file and says whether that worked; dropping does the same and keeps silent.
    pub fn finish(self) -> Result<(), WavError> {
        Ok(self.writer.finalize()?)
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording({} samples)", self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::{Tone, level_at};

    fn spec(sample_rate: u32, channels: u16, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample, sample_format }
    }

    #[test]
    fn every_usual_file_becomes_16_khz_mono_with_its_tone_and_level() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tone.wav");
        for spec in [
            spec(8000, 1, 16, SampleFormat::Int),
            spec(16000, 1, 16, SampleFormat::Int),
            spec(22050, 2, 16, SampleFormat::Int),
            spec(44100, 2, 24, SampleFormat::Int),
            spec(48000, 1, 32, SampleFormat::Float),
            spec(8000, 1, 8, SampleFormat::Int),
        ] {
            let mut tone = vec![0; spec.sample_rate as usize];
            Tone::new(440.0, spec.sample_rate, -12.0).fill(&mut tone);
            let mut writer = WavWriter::create(&path, spec).unwrap();
            for sample in tone {
                for _ in 0..spec.channels {
                    if spec.sample_format == SampleFormat::Float {
                        writer.write_sample(f32::from(sample) / 32768.0).unwrap();
                    } else if spec.bits_per_sample < 16 {
                        writer.write_sample(i32::from(sample >> 8)).unwrap();
                    } else {
                        writer.write_sample(i32::from(sample) << (spec.bits_per_sample - 16)).unwrap();
                    }
                }
            }
            writer.finalize().unwrap();
            let samples = read(&path).unwrap();
            assert!((16_000..16_800).contains(&samples.len()), "{spec:?}: {} samples", samples.len());
            let level = level_at(&samples[1600..14400], 16000, 440.0);
            assert!((level + 12.0).abs() < 0.3, "{spec:?}: {level} dBFS");
        }
    }

    #[test]
    fn a_recording_is_readable_before_its_end_and_whole_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call.wav");
        let mut recording = Recording::create(&path, 1).unwrap();
        assert!(recording.is_empty() && read(&path).unwrap().is_empty());
        for _ in 0..5 {
            recording.write(&vec![1000; 16000], &[]).unwrap();
        }
        // As if the process had died here: what it held in memory is gone.
        let survived = read(&path).unwrap();
        assert!(survived.len() >= 3 * 16000 && survived.iter().all(|sample| *sample == 1000));
        assert_eq!(recording.len(), 80_000);
        recording.flush().unwrap();
        assert_eq!(read(&path).unwrap().len(), 80_000);
        recording.finish().unwrap();
        assert_eq!(read(&path).unwrap(), vec![1000; 80_000]);
    }

    #[test]
    fn in_stereo_each_side_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call.wav");
        let mut recording = Recording::create(&path, 2).unwrap();
        recording.write(&[1, 2, 3], &[4]).unwrap();
        recording.write(&[], &[5]).unwrap();
        drop(recording);
        let samples: Vec<i16> = WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, [1, 4, 2, 0, 3, 0, 0, 5]);
    }

    #[test]
    fn what_is_no_wav_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        assert!(matches!(read(&path), Err(WavError::File(_))));
        std::fs::write(&path, b"RIFF\xff\xff\xff\xffWAVEfmt ").unwrap();
        assert!(matches!(read(&path), Err(WavError::File(_))));
        drop(WavWriter::create(&path, spec(96_000, 1, 16, SampleFormat::Int)).unwrap());
        assert!(matches!(read(&path), Err(WavError::Rate(_))));
    }
}
