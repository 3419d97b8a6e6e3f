import Fleet
import Link
import Logging
import NIOCore
import Session
import Trust
import Wire

extension Gateway {
    /// Joins a node's stream with a fresh one to another node of its tenant; the bytes are theirs alone.
    func relay(_ channel: any Channel, from link: LinkConnection, to target: String) -> EventLoopFuture<Void> {
        guard let peer = link.peer, let origin = peer.node else {
            return refuse(channel, "only nodes may ask for a relay")
        }
        guard let node = try? NodeID(target), registry.isKnown(node, in: peer.tenant) else {
            return refuse(channel, "the fleet has no node '\(target.prefix(64))'")
        }
        guard let session = registry.session(of: node, in: peer.tenant) else {
            return refuse(channel, "node \(node) is not connected to the gateway")
        }
        var open = Lighter_V1_StreamOpen()
        open.relayed.origin = origin.name
        let progress = SpliceProgress()
        let opened = session.peer.link.openStream(announcing: open) { far in
            // Nothing is read from the far end before the near end has heard that it stands.
            far.setOption(.autoRead, value: false).flatMapThrowing {
                try far.pipeline.syncOperations.addHandler(SpliceEnd(partner: channel, ended: progress))
            }
        }
        return opened.hop(to: channel.eventLoop).flatMapThrowing { far in
            channel.closeFuture.whenComplete { _ in far.close(promise: nil) }
            channel.writeAndFlush(Self.encoded(""), promise: nil)
            try channel.pipeline.syncOperations.addHandler(SpliceEnd(partner: far, ended: progress))
            far.setOption(.autoRead, value: true).whenSuccess { far.read() }
        }.flatMapError { error in
            self.refuse(channel, "node \(node) could not be reached: \(error)")
        }
    }

    private func refuse(_ channel: any Channel, _ why: String) -> EventLoopFuture<Void> {
        logger.debug("refused a relay", metadata: ["reason": "\(why)"])
        channel.writeAndFlush(Self.encoded(why)).whenComplete { _ in channel.close(promise: nil) }
        return channel.eventLoop.makeSucceededVoidFuture()
    }

    private static func encoded(_ error: String) -> ByteBuffer {
        var result = Lighter_V1_RelayResult()
        result.error = String(error.prefix(1000))
        // A message of one short text always fits.
        return ByteBuffer(bytes: (try? Framing.encode(result)) ?? [])
    }
}
