import DockerAPI
import Engine
import Fleet
import Logging
import Mounts
import NIOCore
import NIOPosix
import Trust
import Wire

/// Mirrors of other nodes' bind mounts.
extension Guard {
    /// Keeps the mirror of a path of the caller's equal with it for as long as the stream stands.
    nonisolated func accept(
        stream: any Channel, mount call: Lighter_V1_MountCall, peer: PeerIdentity
    ) -> EventLoopFuture<Void> {
        let ticket = Array(call.ticket)
        return stream.eventLoop.makeCompletedFuture {
            try NodeLoop.assumeIsolated {
                let mirrors = try self.mirrors(for: self.caller(ticket: ticket, peer: peer))
                try Self.check(call.source)
                try mirrors.make(call.source, isFile: call.isFile)
                return (mirrors, try ChannelPipe.prepare(stream))
            }
        }.map { (mirrors: Mirrors, pipe: ChannelPipe.Prepared) in
            // Unstructured: it lives as long as the stream, which a channel's callback cannot wait for.
            Task { await self.keep(mirrors, call, pipe) }
        }
    }

    private nonisolated func keep(
        _ mirrors: Mirrors, _ call: Lighter_V1_MountCall, _ pipe: ChannelPipe.Prepared
    ) async {
        let root = MountRoot(path: mirrors.root(of: call.source, isFile: call.isFile))
        let options = MountOptions(
            basePath: mirrors.memory(of: call.source, isFile: call.isFile), targetName: configuration.node.name)
        let logger = logger
        do {
            try await pipe.with { pipe in
                try await MountSession(
                    side: .target, root: root, options: options, pipe: pipe, pool: .singleton,
                    notice: { logger.notice("\($0)", metadata: ["origin": "\(mirrors.origin)"]) }
                ).run()
            }
        } catch {
            logger.info(
                "a mount session ended", metadata: ["origin": "\(mirrors.origin)", "reason": "\(error)"])
        }
    }

    /// Gives back the room of mirrors that nobody has used for a week; looks once an hour until cancelled.
    package func keepMirrorsBounded() async {
        while !Task.isCancelled {
            if let folder = configuration.mirrors, let mounted = await inventory.mountedPaths() {
                let time = now()
                try? await NIOThreadPool.singleton.runIfActive {
                    Mirrors.sweep(folder, mounted: mounted, olderThan: 7 * 86_400, now: time)
                }
            }
            do { try await Task.sleep(for: .seconds(3600)) } catch { return }
        }
    }

    private func mirrors(for caller: Result<CallScope, DockerFailure>) throws(DockerFailure) -> Mirrors {
        guard let ticket = try caller.get().ticket else {
            throw DockerFailure(status: 403, message: "lighter: a mount comes with its workload's ticket only")
        }
        try checkStillValid(ticket)
        guard let folder = configuration.mirrors else {
            throw DockerFailure(status: 403, message: "lighter: node \(configuration.node) mirrors no mounts")
        }
        return Mirrors(folder: folder, tenant: ticket.tenant, origin: ticket.origin)
    }

    private static func check(_ source: String) throws(DockerFailure) {
        guard source.utf8.first == UInt8(ascii: "/"), source.utf8.count <= 4096 else {
            throw DockerFailure(status: 400, message: "lighter: a mount's source is an absolute path")
        }
    }
}
