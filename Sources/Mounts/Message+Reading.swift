internal import NIOCore

extension Message {
    /// - Parameter body: One message without its length.
    /// - Throws: `.protocolViolation` for anything that this side would not have written.
    init(_ body: ByteBuffer) throws(MountError) {
        var reader = MessageReader(body)
        let code: UInt8 = try reader.integer()
        self =
            switch code {
            case Code.hello: .hello(try Hello(&reader))
            case Code.rules: .rules(try reader.rest(atMost: IgnoreRules.limit))
            case Code.buckets:
                .buckets(
                    mirror: Fingerprint(high: try reader.integer(), low: try reader.integer()),
                    try Self.buckets(&reader))
            case Code.list: .list(try Self.list(&reader))
            case Code.entries: .entries(try Self.entries(&reader))
            case Code.listed: .listed(try reader.integer())
            case Code.probe: .probe(try reader.integer())
            case Code.place: .place(try Operation(&reader))
            case Code.chunks: .chunks(try reader.integer(), try Self.marks(&reader))
            case Code.needs: .needs(try reader.integer(), try reader.rest(atMost: Self.chunkLimit))
            case Code.data: .data(try reader.integer(), offset: try Self.length(&reader), try reader.content())
            case Code.hole:
                .hole(try reader.integer(), offset: try Self.length(&reader), length: try Self.length(&reader))
            case Code.commit: .commit(try reader.integer(), try reader.entry())
            case Code.abort: .abort(try reader.integer())
            case Code.done: .done(try reader.integer(), try Outcome(&reader))
            case Code.want: .want(try Want(&reader))
            case Code.settled: .settled
            default: throw .violation("the mount's other side sent a message of unknown kind \(code)")
            }
        try reader.finish()
    }

    private static func length(_ reader: inout MessageReader) throws(MountError) -> Int64 {
        let value: Int64 = try reader.integer()
        guard value >= 0 else { throw .violation("the mount's other side sent a negative length") }
        return value
    }

    private static func buckets(_ reader: inout MessageReader) throws(MountError) -> [Fingerprint] {
        var digests: [Fingerprint] = []
        while !reader.isAtEnd { digests.append(Fingerprint(high: try reader.integer(), low: try reader.integer())) }
        guard (1...bucketLimit).contains(digests.count) else {
            throw .violation("the mount's other side sent \(digests.count) buckets")
        }
        return digests
    }

    private static func list(_ reader: inout MessageReader) throws(MountError) -> Set<UInt16> {
        var buckets: Set<UInt16> = []
        while !reader.isAtEnd { buckets.insert(try reader.integer()) }
        return buckets
    }

    private static func entries(_ reader: inout MessageReader) throws(MountError) -> [Listed] {
        var entries: [Listed] = []
        while !reader.isAtEnd {
            let path = try reader.path()
            entries.append(Listed(path: path, entry: try reader.flag() ? try reader.entry() : nil))
        }
        return entries
    }

    private static func marks(_ reader: inout MessageReader) throws(MountError) -> [ChunkMark] {
        var marks: [ChunkMark] = []
        while !reader.isAtEnd {
            marks.append(
                ChunkMark(digest: try reader.digest(), length: try reader.integer(), isZero: try reader.flag()))
        }
        guard marks.count <= chunkLimit else { throw .violation("the mount's other side sent too many chunks") }
        return marks
    }
}

extension Message.Hello {
    fileprivate init(_ reader: inout MessageReader) throws(MountError) {
        guard try reader.bytes(4, atMost: 4) == Array(Message.magic.utf8) else {
            throw .violation("the other side does not speak the mount protocol")
        }
        let version: UInt8 = try reader.integer()
        guard version == Message.version else {
            throw .violation("the other side speaks version \(version) of the mount protocol")
        }
        guard let side = MountSide(rawValue: try reader.integer()) else {
            throw .violation("the mount's other side is neither origin nor target")
        }
        self.init(
            side: side, isFile: try reader.flag(), isPrivileged: try reader.flag(), compresses: try reader.flag())
    }
}

extension Message.Want {
    fileprivate init(_ reader: inout MessageReader) throws(MountError) {
        let id: UInt32 = try reader.integer()
        let (comparesChunks, allowsTwin) = (try reader.flag(), try reader.flag())
        self.init(id: id, path: try reader.path(), comparesChunks: comparesChunks, allowsTwin: allowsTwin)
    }
}

extension Message.Outcome {
    fileprivate init(_ reader: inout MessageReader) throws(MountError) {
        let code: UInt8 = try reader.integer()
        self =
            switch code {
            case 0: .applied
            case 1: .changed
            case 2: .kept
            case 3: .failed(String(decoding: try reader.rest(atMost: 1024), as: UTF8.self))
            default: throw .violation("the mount's other side sent an unknown outcome")
            }
    }
}

extension Message.Operation {
    fileprivate init(_ reader: inout MessageReader) throws(MountError) {
        let id: UInt32 = try reader.integer()
        let path = try reader.path()
        let expected: UInt64 = try reader.integer()
        self.init(id: id, path: path, expected: expected, action: try Self.action(&reader))
    }

    private static func action(_ reader: inout MessageReader) throws(MountError) -> Message.Action {
        let code: UInt8 = try reader.integer()
        switch code {
        case 1: return .remove
        case 2:
            let name = try reader.rest(atMost: TreePath.nameLimit)
            guard TreePath.isName(name) else { throw .violation("the mount's other side named an impossible name") }
            return .rename(name)
        case 3: return .folder(try entry(.folder, &reader), try reader.attributes())
        case 4: return .link(try entry(.link, &reader), text: try linkText(&reader))
        case 5: return .twin(try entry(.file, &reader), path: try reader.path())
        case 6: return .settle(try entry(.file, &reader), try reader.attributes())
        case 9:
            // Its digest does not travel: it could not be compressed, and the content is here.
            var (entry, attributes, content) = (
                try entry(.file, &reader), try reader.attributes(), try reader.content()
            )
            entry.digest = Digest(of: content)
            return .file(entry, attributes, content)
        case 8: return .begin(try entry(.file, &reader), try reader.attributes(), comparesChunks: try reader.flag())
        default: throw .violation("the mount's other side asked for an unknown action \(code)")
        }
    }

    private static func entry(_ kind: Entry.Kind, _ reader: inout MessageReader) throws(MountError) -> Entry {
        let entry = try reader.entry()
        guard entry.kind == kind else { throw .violation("the mount's other side took a \(kind) for a \(entry.kind)") }
        return entry
    }

    private static func linkText(_ reader: inout MessageReader) throws(MountError) -> [UInt8] {
        let text = try reader.rest(atMost: TreePath.limit - 1)
        guard !text.isEmpty, !text.contains(0) else { throw .violation("the mount's other side sent an empty link") }
        return text
    }
}
