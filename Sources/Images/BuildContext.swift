internal import Glibc
package import NIOCore

/// Reads a build's context as it passes, for the few files that say what the build needs.
package struct BuildContext: Sendable {
    /// Of a file that is looked into.
    private static let limit = 1 << 20

    private let dockerfile: String
    private var scanner = TarScanner()
    private var input = ByteBuffer()
    private var current: String?
    private var files: [String: [UInt8]] = [:]

    /// Bytes before the mark of the archive's end: where more files can be added.
    package private(set) var length: Int64 = 0

    /// - Parameter dockerfile: its path in the context.
    package init(dockerfile: String) {
        self.dockerfile = Self.plain(dockerfile)
    }

    /// - Throws: `.malformedArchive` for what is no tar: a compressed one, among others.
    package mutating func pass(_ piece: ByteBuffer) throws(ImageError) {
        if input.readableBytes == 0 {
            input = piece
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(piece)
        }
        while let event = try scanner.next(&input) {
            switch event {
            case .entry(let entry, let head):
                length += Int64(head.readableBytes)
                let name = Self.plain(entry.name)
                current = nil
                guard name == dockerfile || name == Self.ignoreFile else { continue }
                // A link, or one too long to be looked into, is nothing that can be told.
                guard entry.kind == .file, entry.size <= Int64(Self.limit) else {
                    throw .malformed("\(name) is no plain file")
                }
                current = name
                files[name] = []
            case .content(let bytes):
                length += Int64(bytes.readableBytes)
                if let current { files[current]? += Array(bytes.readableBytesView) }
            case .entryEnd(let padding): length += Int64(padding.readableBytes)
            case .end: break
            }
        }
    }

    package var hasEnded: Bool { scanner.hasEnded }

    /// The Dockerfile's text; nil where the context has none.
    package var text: String? { files[dockerfile].map { String(decoding: $0, as: UTF8.self) } }

    /// The end of the same archive with another Dockerfile, and where that is: no image will hold it.
    ///
    /// - Throws: `.malformedArchive` where what is ignored cannot be told.
    package func ending(dockerfile text: String) throws(ImageError) -> (dockerfile: String, ByteBuffer) {
        var end = ByteBuffer()
        var path = dockerfile
        if text != self.text {
            let ignored = files[Self.ignoreFile]
            if let ignored, try Self.excludes(dockerfile, String(decoding: ignored, as: UTF8.self)) {
                // The engine takes it out of the context itself.
                end = TarEntry.file(dockerfile, Array(text.utf8))
            } else {
                // As the docker client does for a Dockerfile that it reads from its input.
                let names = (ignored ?? Array(Self.ignoreFile.utf8)) + Array("\n\(Self.pinnedFile)\n".utf8)
                end = TarEntry.file(Self.ignoreFile, names)
                end.writeImmutableBuffer(TarEntry.file(Self.pinnedFile, Array(text.utf8)))
                path = Self.pinnedFile
            }
        }
        end.writeRepeatingByte(0, count: 2 * TarEntry.blockSize)
        return (path, end)
    }

    private static let ignoreFile = ".dockerignore"
    private static let pinnedFile = ".lighter.dockerfile"

    /// Whether a `.dockerignore` names a path, or a folder above it; its last word on it counts.
    private static func excludes(_ path: String, _ rules: String) throws(ImageError) -> Bool {
        var isExcluded = false
        for line in rules.split(whereSeparator: \.isNewline) {
            var pattern = line.drop { $0 == " " || $0 == "\t" }
            while pattern.last == " " || pattern.last == "\t" { pattern = pattern.dropLast() }
            guard !pattern.isEmpty, !pattern.hasPrefix("#") else { continue }
            let isException = pattern.hasPrefix("!")
            let plain = plain(String(isException ? pattern.dropFirst() : pattern))
            guard !plain.contains("**"), !plain.split(separator: "/").contains("..") else {
                throw .malformed("'\(line)' in \(ignoreFile) is more than a name")
            }
            var part = path[...]
            while !part.isEmpty {
                if fnmatch(plain, String(part), FNM_PATHNAME) == 0 {
                    isExcluded = !isException
                    break
                }
                part = part.lastIndex(of: "/").map { part[..<$0] } ?? ""
            }
        }
        return isExcluded
    }

    private static func plain(_ path: String) -> String {
        path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }
}
