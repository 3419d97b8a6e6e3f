/// A reference to an image, taken apart as Docker does: `registry:5000/team/app:v2@sha256:…`.
package struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// `docker.io` when the text names no registry.
    package var domain: String
    /// `library/busybox` for Docker Hub's short names.
    package var path: String
    package var tag: String?
    /// `sha256:…`.
    package var digest: String?

    /// - Returns: nil when the text is no reference: empty parts, upper case in the path, a bad tag or digest.
    package init?(_ text: String) {
        var rest = text[...]
        if let mark = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: mark)...])
            guard Self.isDigest(digest) else { return nil }
            self.digest = digest
            rest = rest[..<mark]
        }
        let lastSlash = rest.lastIndex(of: "/") ?? rest.startIndex
        if let colon = rest[lastSlash...].lastIndex(of: ":") {
            let tag = String(rest[rest.index(after: colon)...])
            guard Self.isTag(tag) else { return nil }
            self.tag = tag
            rest = rest[..<colon]
        }
        (domain, path) = Self.split(rest)
        guard Self.isDomain(domain), Self.isPath(path), path.utf8.count <= 255 else { return nil }
    }

    /// The two parameters of `POST /images/create`.
    ///
    /// - Parameter tag: A tag or a digest; when it is empty the tag within `fromImage` counts.
    package init?(fromImage: String, tag: String?) {
        guard var reference = ImageReference(fromImage) else { return nil }
        if let tag, !tag.isEmpty {
            if Self.isDigest(tag) {
                reference.digest = tag
                reference.tag = nil
            } else {
                guard Self.isTag(tag) else { return nil }
                reference.tag = tag
                reference.digest = nil
            }
        }
        self = reference
    }

    /// As the user writes it, without Docker Hub's prefix and without a tag or digest: `busybox`.
    package var familiarName: String {
        guard domain == "docker.io" else { return "\(domain)/\(path)" }
        return path.hasPrefix("library/") && !path.dropFirst(8).contains("/") ? String(path.dropFirst(8)) : path
    }

    /// `busybox:latest`: the familiar form; with the tag `latest` when there is neither tag nor digest.
    package var familiar: String { familiarName + suffix }

    /// `docker.io/library/busybox:latest`.
    package var canonical: String { "\(domain)/\(path)\(suffix)" }

    package var description: String { familiar }

    /// `fromImage` and `tag` for `POST /images/create`.
    package var pullParameters: (fromImage: String, tag: String) { (familiarName, digest ?? tag ?? "latest") }

    /// What a pull of it gets: the tag `latest` where it has neither tag nor digest, and the digest alone where it has both.
    package var resolved: ImageReference {
        let (name, tag) = pullParameters
        return ImageReference(fromImage: name, tag: tag) ?? self
    }

    private var suffix: String {
        if let digest { return (tag.map { ":\($0)" } ?? "") + "@\(digest)" }
        return ":\(tag ?? "latest")"
    }

    /// Whether the text is an image's id rather than a name: `sha256:` and 64 hex digits, or 64 hex digits.
    package static func isID(_ text: String) -> Bool {
        let hex = text.utf8.starts(with: "sha256:".utf8) ? text.utf8.dropFirst(7) : text.utf8[...]
        return hex.count == 64 && hex.allSatisfy(isLowerHex)
    }

    private static func split(_ text: Substring) -> (String, String) {
        guard let slash = text.firstIndex(of: "/") else { return ("docker.io", "library/\(text)") }
        let first = text[..<slash]
        let isDomain =
            first.contains(".") || first.contains(":") || first == "localhost"
            || first.utf8.contains { (0x41...0x5a).contains($0) }
        guard isDomain else { return ("docker.io", String(text)) }
        let path = String(text[text.index(after: slash)...])
        let domain = first == "index.docker.io" ? "docker.io" : String(first)
        return (domain, domain == "docker.io" && !path.contains("/") ? "library/\(path)" : path)
    }

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7a).contains(ASCII.lower(byte)) || byte == UInt8(ascii: "_")
    }

    private static func isTag(_ text: String) -> Bool {
        guard let first = text.utf8.first, isWord(first), text.utf8.count <= 128 else { return false }
        return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    private static func isDigest(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: ASCII.colon, omittingEmptySubsequences: false)
        guard parts.count == 2, let algorithm = parts.first, let hex = parts.last else { return false }
        return !algorithm.isEmpty && algorithm.allSatisfy { isWord($0) || $0 == 0x2b || $0 == 0x2e || $0 == 0x2d }
            && hex.count >= 32 && hex.allSatisfy { ASCII.hexDigit($0) != nil }
    }

    private static func isDomain(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                isWord($0) || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"), 0x5b, 0x5d].contains($0)
            }
    }

    /// Slash-separated parts of `a-z 0-9` with `.`, `_`, `__` or dashes between.
    private static func isPath(_ text: String) -> Bool {
        text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { part in
            guard let first = part.first, let last = part.last else { return false }
            let isPlain = { (byte: UInt8) in (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) }
            return isPlain(first) && isPlain(last)
                && part.allSatisfy { isPlain($0) || [UInt8(ascii: "."), 0x5f, 0x2d].contains($0) }
        }
    }
}
