internal import DockerAPI
internal import Engine
internal import NIOCore

/// Requests whose body is too long to be gathered: a job reads it as it comes.
extension ClientHandler {
    func startReceiving(_ head: RequestHead, _ reception: Reception) {
        if head.expectsContinue { writeAndFlush(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
        guard let context else { return }
        let feed = BodyFeed()
        state = .receiving(head, BodyReader(head.framing), feed)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        NodeLoop.assumeIsolated { feed.drained = { bound.value.advance() } }
        start(head) { client in await reception.run(feed, client) }
    }

    /// Hands the job what it has room for.
    func receive(_ head: RequestHead, _ reader: BodyReader, _ feed: BodyFeed) throws -> Bool {
        var reader = reader
        var isFull = false
        while !reader.isComplete {
            guard NodeLoop.assumeIsolated({ feed.wantsMore }) else {
                isFull = true
                break
            }
            guard let part = try reader.next(&inbound) else { break }
            if let payload = part.payload { NodeLoop.assumeIsolated { feed.push(payload) } }
        }
        if reader.isComplete {
            NodeLoop.assumeIsolated { feed.finish() }
            state = .handling(head)
        } else {
            state = .receiving(head, reader, feed)
            if inputClosed, !isFull {
                NodeLoop.assumeIsolated { feed.cut() }
                close()
            }
        }
        return false
    }
}
