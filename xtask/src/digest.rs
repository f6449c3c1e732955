//! Checksums of files: SHA-512 as npm writes it, SHA-256 as everybody else does.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256, Sha512};

use crate::failure::{Context, Outcome};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The SHA-512 of a file in base64, as it stands in npm's `integrity` after `sha512-`.
pub(crate) fn sha512_base64(path: &Path) -> Outcome<String> {
    Ok(base64(&hash::<Sha512>(path)?))
}

/// The SHA-256 of a file in hexadecimal.
pub(crate) fn sha256_hexadecimal(path: &Path) -> Outcome<String> {
    Ok(hash::<Sha256>(path)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hash<D: Digest>(path: &Path) -> Outcome<Vec<u8>> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = File::open(path).context(unreadable)?;
    let mut hasher = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer).context(unreadable)?;
        if length == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(&buffer[..length]);
    }
}

/// Ten lines instead of a dependency: this is all that a pinned integrity needs.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let padded =
            [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (bits >> (18 - 6 * position)) & 0x3f;
                text.push(char::from(BASE64[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_file_has_the_known_checksum() {
        let path = std::env::temp_dir().join(format!("xtask-digest-{}", std::process::id()));
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sha256_hexadecimal(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
