//! Random numbers that are the same on every machine: xoshiro256++, seeded by SplitMix64.
//!
//! Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators".

pub(super) struct Random([u64; 4]);

impl Random {
    pub(super) fn seeded(mut seed: u64) -> Self {
        Self(std::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = seed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        }))
    }

    pub(super) fn bits(&mut self, bits: u32) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result >> (64 - bits)
    }

    /// From 0 up to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.bits(53) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        (self.unit() * limit as f64) as u64
    }

    /// Below the limit, low numbers far likelier than high ones: users and repositories in a log are like that.
    pub(super) fn skewed(&mut self, limit: u64) -> u64 {
        let unit = self.unit();
        (unit * unit * unit * limit as f64) as u64
    }

    pub(super) fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list[self.below(list.len() as u64) as usize]
    }

    pub(super) fn hexadecimal(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 15);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.bits(64)));
        }
        text.truncate(digits);
        text
    }
}
