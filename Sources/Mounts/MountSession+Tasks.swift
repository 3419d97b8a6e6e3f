internal import Compression
import Glibc
internal import NIOCore

extension MountSession {
    /// How often everything is looked at where changes cannot be watched.
    private static let rescan = Duration.seconds(2)

    static var isPrivileged: Bool { geteuid() == 0 }

    /// What a failure of the caller's pipe is here.
    private static func pipeFailure(_ error: any Error) -> MountError {
        if let error = error as? CompressionError, error.code == .malformed {
            return .violation("the mount's other side sent what cannot be decompressed")
        }
        return error as? MountError ?? MountError(.pipe, "the pipe to the other side of the mount failed", cause: error)
    }

    /// Writes what waits into the pipe.
    func write() async {
        do {
            var compressor: EagerCompressor?
            // The first message is never compressed; what follows it waits until the other side's is here.
            if var bytes = await outbox.next(), let hello = MessageDecoder.split(&bytes) {
                try await send(hello)
                if bytes.readableBytes > 0 { try await send(bytes, &compressor) }
            }
            while let bytes = await outbox.next() { try await send(bytes, &compressor) }
        } catch {
            end(Self.pipeFailure(error))
        }
    }

    private func send(_ bytes: ByteBuffer) async throws {
        meter.sent(bytes.readableBytes)
        try await pipe.send(bytes)
    }

    private func send(_ bytes: ByteBuffer, _ compressor: inout EagerCompressor?) async throws {
        guard compresses else { return try await send(bytes) }
        var used = try compressor ?? EagerCompressor()
        let clock = ContinuousClock()
        let start = clock.now
        let compressed = try used.flush(bytes)
        let isCompressed = clock.now
        try await send(compressed)
        used.note(bytes.readableBytes, compressing: isCompressed - start, sending: clock.now - isCompressed)
        compressor = used
    }

    /// Reads the pipe, only as fast as what comes is dealt with.
    func read() async {
        var decoder = MessageDecoder()
        var decompressor: ZstdDecompressor?
        var isGreeted = false
        do {
            for try await bytes in pipe.inbound {
                meter.received(bytes.readableBytes)
                var bytes = bytes
                if !isGreeted {
                    decoder.feed(bytes)
                    guard let message = try decoder.next() else { continue }
                    guard case .hello(let theirs) = message else {
                        throw MountError.violation("the mount's other side did not introduce itself")
                    }
                    isGreeted = true
                    if options.compresses, theirs.compresses {
                        decompressor = try ZstdDecompressor()
                        setCompresses()
                    }
                    hello.yield(theirs)
                    bytes = decoder.takeRest()
                }
                guard let decompressor else {
                    try await deliver(bytes, &decoder)
                    continue
                }
                decompressor.add(bytes)
                while let piece = try decompressor.next() { try await deliver(piece, &decoder) }
            }
            hello.finish()
            if decoder.isMidway { throw MountError(.pipe, "the pipe of the mount ended in the middle of a message") }
            inbox.push(.ended)
        } catch {
            end(Self.pipeFailure(error))
        }
    }

    private func deliver(_ bytes: ByteBuffer, _ decoder: inout MessageDecoder) async throws(MountError) {
        decoder.feed(bytes)
        while let message = try decoder.next() { inbox.push(.message(message)) }
        await inbox.waitForRoom(after: bytes.readableBytes)
    }

    func open(isFile: Bool?) async throws(MountError) -> RootFolder {
        let (side, path) = (side, root.path)
        return try await work.run { () throws(MountError) in
            do throws(SystemFailure) {
                // The mirror's folder may not have been made yet; the device's is never made.
                if side == .target, isFile == false, mkdir(path, 0o755) != 0, errno != EEXIST { throw .last }
                return try RootFolder(path, isFile: isFile)
            } catch {
                throw MountError(
                    side == .origin ? .originLost : .invalid, "\(path) cannot be mounted: \(error)", cause: error)
            }
        }
    }

    /// Runs the side's main task, and beside it what sends and what watches.
    func work(with replica: Replica) async {
        let courier = Courier(replica: replica, outbox: outbox, inbox: inbox, replies: replies, work: work)
        let pace = Pace(debounce: options.debounce)
        let wires = Wires(
            inbox: inbox, outbox: outbox, courier: courier, replies: replies, tickets: tickets, pace: pace, work: work,
            meter: meter, progress: progress)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.attempt { () async throws(MountError) in try await courier.run() } }
            if let watch = replica.watch {
                watch.start()
                group.addTask { await self.follow(watch, pace) }
            }
            group.addTask { await self.lookNowAndThen(replica.watch, pace) }
            await attempt { () async throws(MountError) in
                switch side {
                case .origin:
                    var loop = OriginLoop(replica: replica, wires: wires, options: options)
                    try await loop.run()
                case .target:
                    var loop = TargetLoop(replica: replica, wires: wires)
                    try await loop.run()
                }
            }
            end(nil)
            courier.close()
            replica.watch?.stop()
            group.cancelAll()
        }
    }

    /// Gathers changes for a moment before they are looked at.
    private func follow(_ watch: FolderWatch, _ pace: Pace) async {
        for await _ in watch.signals {
            try? await Task.sleep(for: pace.pause())
            inbox.push(.changed)
        }
    }

    /// Where some folders cannot be watched, or something could not be brought over, it is looked at every now and then.
    private func lookNowAndThen(_ watch: FolderWatch?, _ pace: Pace) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: max(Self.rescan, pace.pause()))
            if pace.takeLook() || watch?.isLimited ?? true { inbox.push(.changed) }
        }
    }
}
