// SPDX-License-Identifier: Apache-2.0
// Fingerprints of the keys that sign the Debian archive (OpenPGP v4, primary keys).
//
// A keyring that did not come from the host's own package manager is believed for these keys alone.
// Source: the package debian-archive-keyring; Debian's FTP master page lists the same ones.

export const DEBIAN_ARCHIVE_FINGERPRINTS: ReadonlyMap<string, string> = new Map([
  ["1f89983e0081fde018f3cc9673a4f27b8dd47936", "Debian Archive Automatic Signing Key (11/bullseye)"],
  ["a4285295fc7b1a81600062a9605c66f00d6c9793", "Debian Stable Release Key (11/bullseye)"],
  ["b8b80b5b623eab6ad8775c45b7c5d7d6350947f8", "Debian Archive Automatic Signing Key (12/bookworm)"],
  ["4d64fec119c2029067d6e791f8d2585b8783d481", "Debian Stable Release Key (12/bookworm)"],
  ["04b54c3cdca79751b16bc6b5225629df75b188bd", "Debian Archive Automatic Signing Key (13/trixie)"],
  ["41587f7db8c774bccf131416762f67a0b2c39de4", "Debian Stable Release Key (13/trixie)"],
]);
