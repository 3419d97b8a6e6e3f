import Crypto
import NIOCore

/// A SHA-256 digest as Docker writes it, `sha256:` and 64 lower-case hex digits: of a layer's tar, or of a chain of layers.
package struct LayerDigest: Sendable, Hashable, CustomStringConvertible {
    package let hex: String

    /// Reads `sha256:…`; nil where it is anything else.
    package init?(_ text: String) {
        guard text.utf8.starts(with: "sha256:".utf8) else { return nil }
        self.init(hex: text.dropFirst("sha256:".count))
    }

    /// Reads the id of an image, which some of Podman's answers give without `sha256:`.
    package init?(imageID text: String) {
        self.init(hex: text.utf8.starts(with: "sha256:".utf8) ? text.dropFirst("sha256:".count) : text[...])
    }

    init?(hex: some StringProtocol) {
        guard hex.utf8.count == 64,
            hex.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.hex = String(hex)
    }

    init(_ digest: SHA256Digest) {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in digest {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        hex = String(decoding: text, as: UTF8.self)
    }

    /// The digest of these bytes.
    init(of bytes: [UInt8]) {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        self.init(hash.finalize())
    }

    package var description: String { "sha256:\(hex)" }

    /// As `docker pull` shows a layer.
    package var short: String { String(hex.prefix(12)) }

    /// The chain ids of an image's layers, bottom first: each names a layer together with all below it.
    ///
    /// An engine's layer store knows layers by these: chain(0) = diff(0), chain(n) = SHA-256(chain(n-1) + " " + diff(n)).
    package static func chain(of diffIDs: [LayerDigest]) -> [LayerDigest] {
        var chain: [LayerDigest] = []
        for diff in diffIDs {
            chain.append(chain.last.map { LayerDigest(of: Array("\($0) \(diff)".utf8)) } ?? diff)
        }
        return chain
    }
}
