internal import NIOCore

extension Message {
    static let magic = "LMNT"

    /// The first byte of each message.
    enum Code {
        static let hello: UInt8 = 1
        static let rules: UInt8 = 2
        static let buckets: UInt8 = 3
        static let list: UInt8 = 4
        static let entries: UInt8 = 5
        static let listed: UInt8 = 6
        static let probe: UInt8 = 7
        static let place: UInt8 = 8
        static let chunks: UInt8 = 9
        static let needs: UInt8 = 10
        static let data: UInt8 = 11
        static let hole: UInt8 = 12
        static let commit: UInt8 = 13
        static let abort: UInt8 = 14
        static let done: UInt8 = 15
        static let want: UInt8 = 16
        static let settled: UInt8 = 17
    }

    /// Whether it changes the receiver's tree; such messages are handled together.
    var isContent: Bool {
        switch self {
        case .place, .chunks, .data, .hole, .commit, .abort: true
        default: false
        }
    }

    /// About how many bytes of content it carries.
    var weight: Int {
        guard case .place(let operation) = self, case .file(_, let attributes, let content) = operation.action else {
            return Entry.byteCount
        }
        return Entry.byteCount + attributes.byteCount + content.readableBytes
    }

    var code: UInt8 {
        switch self {
        case .hello: Code.hello
        case .rules: Code.rules
        case .buckets: Code.buckets
        case .list: Code.list
        case .entries: Code.entries
        case .listed: Code.listed
        case .probe: Code.probe
        case .place: Code.place
        case .chunks: Code.chunks
        case .needs: Code.needs
        case .data: Code.data
        case .hole: Code.hole
        case .commit: Code.commit
        case .abort: Code.abort
        case .done: Code.done
        case .want: Code.want
        case .settled: Code.settled
        }
    }
}

extension Message.Action {
    var code: UInt8 {
        switch self {
        case .remove: 1
        case .rename: 2
        case .folder: 3
        case .link: 4
        case .twin: 5
        case .settle: 6
        case .file: 9
        case .begin: 8
        }
    }

    /// What the path is afterwards; nil for an action that leaves nothing there.
    var entry: Entry? {
        switch self {
        case .remove, .rename: nil
        case .folder(let entry, _), .link(let entry, _), .twin(let entry, _), .settle(let entry, _),
            .file(let entry, _, _), .begin(let entry, _, _):
            entry
        }
    }
}

extension Message.Outcome {
    var code: UInt8 {
        switch self {
        case .applied: 0
        case .changed: 1
        case .kept: 2
        case .failed: 3
        }
    }
}
