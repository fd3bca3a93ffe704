//! Reads decisions out of fuzz input, and cuts octets.

/// Takes octets off the front; zeros when there are no more.
pub(crate) struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn octet(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.octet()) % all.len()]
    }

    /// Octets, with their number in front.
    pub(crate) fn some(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts octets where chance has it; seed 0 cuts behind each.
pub(crate) struct Cuts(u64);

impl Cuts {
    pub(crate) fn new(seed: u8) -> Self {
        Self(u64::from(seed))
    }

    pub(crate) fn pieces<'a>(&mut self, mut octets: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !octets.is_empty() {
            let (piece, rest) = octets.split_at(self.length().min(octets.len()));
            pieces.push(piece);
            octets = rest;
        }
        pieces
    }

    /// Most pieces are short, so that cuts fall inside of line ends; some are long.
    fn length(&mut self) -> usize {
        if self.0 == 0 {
            return 1;
        }
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chance = self.0 >> 33;
        let length = match chance % 4 {
            0 => 1,
            1 | 2 => 1 + (chance >> 2) % 16,
            _ => 1 + (chance >> 2) % 3_000,
        };
        usize::try_from(length).unwrap_or(1)
    }
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
