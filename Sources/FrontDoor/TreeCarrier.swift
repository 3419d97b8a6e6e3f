internal import Engine
internal import Mounts
internal import NIOCore

/// Brings the copy of one tree up to date, from an engine's machine to another's; this device may be either.
@NodeLoop
final class TreeCarrier {
    enum Source: Sendable {
        case here(TreeSource)
        case away(NodeDialer)
    }

    enum Target: Sendable {
        case here(TreeCopy)
        case away(NodeDialer)
    }

    private enum Giver {
        case here(TreeSource)
        case away(TreeStream)
    }

    private enum Taker {
        case here(TreeCopy)
        case away(TreeStream)
    }

    private let giver: Giver
    private let taker: Taker

    private init(_ giver: Giver, _ taker: Taker) {
        self.giver = giver
        self.taker = taker
    }

    /// Runs `body` with a carrier for each of the trees, whose streams stand until it returns.
    static func with(
        _ trees: [(source: Source, target: Target)],
        _ body: @escaping @Sendable @NodeLoop ([TreeCarrier]) async throws -> Void
    ) async throws {
        try await with(trees[...], [], body)
    }

    private static func with(
        _ trees: ArraySlice<(source: Source, target: Target)>, _ opened: [TreeCarrier],
        _ body: @escaping @Sendable @NodeLoop ([TreeCarrier]) async throws -> Void
    ) async throws {
        guard let tree = trees.first else { return try await body(opened) }
        let rest = trees.dropFirst()
        let open: @Sendable @NodeLoop (Giver, Taker) async throws -> Void = { giver, taker in
            try await with(rest, opened + [TreeCarrier(giver, taker)], body)
        }
        let openTarget: @Sendable @NodeLoop (Giver) async throws -> Void = { giver in
            switch tree.target {
            case .here(let copy): try await open(giver, .here(copy))
            case .away(let dialer): try await TreeStream.with(dialer) { try await open(giver, .away($0)) }
            }
        }
        switch tree.source {
        case .here(let source): try await openTarget(.here(source))
        case .away(let dialer): try await TreeStream.with(dialer) { try await openTarget(.away($0)) }
        }
    }

    /// Makes the copy what the tree is now, and is not done before it is on the disk there.
    func pass() async throws -> TreeTally {
        guard case .away(let stream) = taker else { return try await pump() }
        return try await withThrowingTaskGroup(of: TreeTally?.self) { group in
            group.addTask { try await self.pump() }
            // What the other end cannot write it says at once.
            group.addTask {
                try await stream.end()
                return nil
            }
            var tally = TreeTally()
            while let done = try await group.next() { if let done { tally = done } }
            return tally
        }
    }

    private func pump() async throws -> TreeTally {
        switch giver {
        case .here(let source): return try await source.pass { [self] in try await hand(over: $0) }
        case .away(let stream):
            try await stream.send(TreeFrame.pass.bytes)
            while true {
                let frame = try await stream.next()
                if case .here(let copy) = taker { _ = try await copy.take(frame) }
                if case .away(let other) = taker { try await other.send(frame.bytes) }
                if case .end(let tally) = frame { return tally }
            }
        }
    }

    private func hand(over bytes: ByteBuffer) async throws {
        switch taker {
        case .away(let stream): try await stream.send(bytes)
        case .here(let copy):
            var reader = TreeFrameReader()
            reader.add(bytes)
            while let frame = try reader.next() { _ = try await copy.take(frame) }
        }
    }
}

/// A stream to a tree, or to a copy of one, at a node.
@NodeLoop
final class TreeStream {
    private let pipe: ChannelPipe
    private var inbound: any AsyncIteratorProtocol<ByteBuffer, any Error>
    private var reader = TreeFrameReader()

    private init(_ pipe: ChannelPipe) {
        self.pipe = pipe
        inbound = pipe.inbound.makeAsyncIterator()
    }

    static func with(
        _ dialer: NodeDialer, _ body: @escaping @Sendable @NodeLoop (TreeStream) async throws -> Void
    ) async throws {
        let loop = NodeLoop.shared.loop
        let box = NIOLoopBoundBox<ChannelPipe.Prepared?>(nil, eventLoop: loop)
        _ = try await dialer.dial(on: loop) { channel in
            channel.eventLoop.makeCompletedFuture { box.value = try ChannelPipe.prepare(channel) }
        }.get()
        guard let prepared = box.value else { throw CancellationError() }
        try await prepared.with { pipe in try await body(TreeStream(pipe)) }
    }

    func send(_ bytes: ByteBuffer) async throws { try await pipe.send(bytes) }

    /// The next frame that is no failure.
    func next() async throws -> TreeFrame {
        while true {
            if let frame = try reader.next() {
                if case .failed(let reason) = frame { throw FrontDoorError(.unreachable, reason) }
                return frame
            }
            var iterator = inbound
            let bytes = try await iterator.next(isolation: #isolation)
            inbound = iterator
            guard let bytes else {
                throw FrontDoorError(.unreachable, "the stream broke off; does that node run an older Lighter?")
            }
            reader.add(bytes)
        }
    }

    func end() async throws {
        while true { if case .end = try await next() { return } }
    }
}
