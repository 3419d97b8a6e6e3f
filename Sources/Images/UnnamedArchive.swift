import Crypto
package import NIOCore

/// Lets through, of an archive that another node sends, one image without any name: a name there must not become one here.
///
/// What is not known to belong to an image is left out, and the list of what is in the archive is written anew. The
/// configuration is checked by the image's id, which is its digest, or that of the manifest, or of the index of manifests,
/// that leads to it (of an engine that keeps images in containerd); the layers are checked by the engine that loads them, as
/// it needs their digests for itself.
package struct UnnamedArchive: Sendable {
    private enum Current {
        case passed
        case dropped
        case manifest(ByteBuffer)
        /// What has the image's id.
        case root(ByteBuffer)
        /// A blob that may be a manifest, or the configuration that one leads to.
        case blob(LayerDigest, SHA256, ByteBuffer)
    }

    /// Of the manifest, and of the configuration.
    private static let limit = 4 << 20
    /// Of all texts that are kept until the list of what is in the archive comes.
    private static let textLimit = 8 << 20

    private let id: LayerDigest
    private var scanner = TarScanner()
    private var input = ByteBuffer()
    private var current = Current.passed
    private var path = ""
    private var hasManifest = false
    private var hasRoot = false
    /// Blobs that are what they are called, and the text of what may be a manifest.
    private var texts: [LayerDigest: [UInt8]] = [:]
    private var textBytes = 0

    package init(id: LayerDigest) { self.id = id }

    /// Takes the next piece of the archive and returns what of it goes on; maybe nothing.
    package mutating func pass(_ piece: ByteBuffer) throws(ImageError) -> ByteBuffer {
        if input.readableBytes == 0 {
            input = piece
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(piece)
        }
        var output = ByteBuffer()
        while let event = try scanner.next(&input) {
            guard let bytes = try take(event), bytes.readableBytes > 0 else { continue }
            if output.readableBytes == 0 { output = bytes } else { output.writeImmutableBuffer(bytes) }
        }
        return output
    }

    /// To be called behind the last piece.
    package func finish() throws(ImageError) {
        guard scanner.hasEnded else { throw .malformed("it ends in the middle") }
        guard hasManifest, hasRoot else { throw .malformed("it does not hold \(id)") }
    }

    private mutating func take(_ event: TarScanner.Event) throws(ImageError) -> ByteBuffer? {
        switch event {
        case .entry(let entry, let head):
            try begin(entry)
            switch current {
            case .passed, .root, .blob: return head
            case .dropped, .manifest: return nil
            }
        case .content(let bytes): return content(bytes)
        case .entryEnd(let padding): return try complete(padding)
        // Whatever the archive held, without these an engine may look for names elsewhere.
        case .end(let mark):
            guard hasManifest else { throw .malformed("it has no manifest") }
            return mark
        }
    }

    private mutating func begin(_ entry: TarEntry) throws(ImageError) {
        path = entry.name.hasPrefix("./") ? String(entry.name.dropFirst(2)) : entry.name
        if path == "manifest.json", entry.kind == .file, !hasManifest {
            current = .manifest(ByteBuffer())
        } else if path == "\(id.hex).json" || path == "blobs/sha256/\(id.hex)", entry.kind == .file {
            current = .root(ByteBuffer())
        } else {
            current = Self.isPart(path, entry) ? part(entry) : .dropped
            return
        }
        guard entry.size <= Int64(Self.limit) else { throw .malformed("'\(path)' is longer than \(Self.limit) bytes") }
    }

    private mutating func part(_ entry: TarEntry) -> Current {
        let prefix = "blobs/sha256/"
        guard path.hasPrefix(prefix), let digest = LayerDigest(hex: path.dropFirst(prefix.count)),
            entry.size <= Int64(Self.limit), textBytes + Int(entry.size) <= Self.textLimit
        else { return .passed }
        textBytes += Int(entry.size)
        return .blob(digest, SHA256(), ByteBuffer())
    }

    /// Files and folders of layers, in the layouts of Docker and Podman.
    private static func isPart(_ path: String, _ entry: TarEntry) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        let isDigest = { (text: Substring) in LayerDigest(hex: text) != nil }
        if entry.isFolder {
            return parts == ["blobs"] || parts == ["blobs", "sha256"] || (parts.count == 1 && isDigest(parts[0]))
        }
        let isFile = entry.kind == .file
        return switch parts.count {
        case 1: isFile && parts[0].hasSuffix(".tar") && isDigest(parts[0].dropLast(4))
        // A layer that is there twice is a link the second time.
        case 2: isDigest(parts[0]) && (parts[1] == "layer.tar" || (isFile && ["json", "VERSION"].contains(parts[1])))
        case 3: isFile && parts[0] == "blobs" && parts[1] == "sha256" && isDigest(parts[2])
        default: false
        }
    }

    private mutating func content(_ bytes: ByteBuffer) -> ByteBuffer? {
        switch current {
        case .passed: return bytes
        case .dropped: return nil
        case .manifest(var gathered):
            current = .dropped  // lets go of the copy, so that appending copies nothing
            gathered.writeImmutableBuffer(bytes)
            current = .manifest(gathered)
            return nil
        case .root(var gathered):
            current = .dropped
            gathered.writeImmutableBuffer(bytes)
            current = .root(gathered)
            return bytes
        case .blob(let digest, var hash, var gathered):
            current = .dropped
            bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
            gathered.writeImmutableBuffer(bytes)
            current = .blob(digest, hash, gathered)
            return bytes
        }
    }

    private mutating func complete(_ padding: ByteBuffer) throws(ImageError) -> ByteBuffer? {
        defer { current = .passed }
        switch current {
        case .passed: return padding
        case .dropped: return nil
        case .manifest(let bytes):
            hasManifest = true
            return TarEntry.file("manifest.json", try manifest(Array(bytes.readableBytesView)))
        case .root(let bytes):
            let text = Array(bytes.readableBytesView)
            let found = LayerDigest(of: text)
            guard found == id else { throw .damaged(path, found) }
            hasRoot = true
            texts[id] = text
            return padding
        case .blob(let digest, let hash, let bytes):
            let found = LayerDigest(hash.finalize())
            guard found == digest else { throw .damaged(path, found) }
            let text = Array(bytes.readableBytesView)
            // Layers are not read again.
            texts[digest] = text.first == UInt8(ascii: "{") ? text : []
            return padding
        }
    }

    /// The same list, with no more than an engine needs: the image's configuration and layers.
    private func manifest(_ bytes: [UInt8]) throws(ImageError) -> [UInt8] {
        let refusal = ImageError.malformed("its manifest is not that of one image without a name")
        guard let first = bytes.firstIndex(of: UInt8(ascii: "{")), let last = bytes.lastIndex(of: UInt8(ascii: "}")),
            let members = JSONMembers.split(Array(bytes[first...last]))
        else { throw refusal }
        func value(_ name: String) -> [UInt8]? { members.first { $0.name == name }?.value }
        guard let configuration = value("Config"), let layers = value("Layers"),
            isConfiguration(String(decoding: configuration, as: UTF8.self)),
            layers.first == UInt8(ascii: "["), layers.last == UInt8(ascii: "]"),
            layers.dropFirst().dropLast().allSatisfy(Self.isOfPaths)
        else { throw refusal }
        return Array(#"[{"Config":"#.utf8) + configuration + Array(#","RepoTags":null,"Layers":"#.utf8) + layers
            + Array("}]\n".utf8)
    }

    /// Whether the path, as JSON, is that of the image's configuration.
    private func isConfiguration(_ path: String) -> Bool {
        if path == "\"\(id.hex).json\"" || path == "\"blobs/sha256/\(id.hex)\"" { return true }
        let prefix = "\"blobs/sha256/"
        guard path.hasPrefix(prefix), path.hasSuffix("\""),
            let wanted = LayerDigest(hex: path.dropFirst(prefix.count).dropLast()), texts[wanted] != nil,
            let root = texts[id]
        else { return false }
        if configuration(of: root) == wanted { return true }
        // An index names its manifests by their digests.
        let index = String(decoding: root, as: UTF8.self)
        return texts.contains { index.contains("\"\($0.key)\"") && configuration(of: $0.value) == wanted }
    }

    private func configuration(of manifest: [UInt8]) -> LayerDigest? {
        let members = JSONMembers.split(JSONMembers.compact(manifest))
        guard let config = members?.first(where: { $0.name == "config" })?.value,
            let digest = JSONMembers.split(config)?.first(where: { $0.name == "digest" })?.value
        else { return nil }
        return LayerDigest(String(decoding: digest.dropFirst().dropLast(), as: UTF8.self))
    }

    /// Whether the byte may stand in a list of layers' paths: nothing that ends the list.
    private static func isOfPaths(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: #" ,./""#.utf8.contains(byte)
        }
    }
}

extension TarEntry {
    /// A whole entry: its header, its content and what fills the last block.
    static func file(_ name: String, _ content: [UInt8]) -> ByteBuffer {
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        var block = [UInt8](repeating: 0, count: blockSize)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
        }
        put(name, at: 0)
        put(octal(0o644, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(content.count, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar\u{0}00", at: 257)
        put(octal(block.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", at: 148)
        var buffer = ByteBuffer(bytes: block)
        buffer.writeBytes(content)
        buffer.writeRepeatingByte(0, count: -content.count & (blockSize - 1))
        return buffer
    }
}
