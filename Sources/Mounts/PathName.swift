internal import Crypto

/// A file name that stands for any text: 32 hex digits of its SHA-256. What a peer calls its folder is never a path here.
package enum PathName {
    package static func standing(for text: String) -> String {
        SHA256.hash(data: Array(text.utf8)).prefix(16).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }
}
