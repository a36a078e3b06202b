//! Floor 1: arithmetic on samples: resampling, concealment, levels, tones. Allocates at construction only.
