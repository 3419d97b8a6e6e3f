import NIOCore

extension StreamChannel {
    /// Bytes for this stream: delivered when they were asked for, else kept.
    func receive(_ piece: ByteBuffer) {
        guard phase == .active, input.isEmpty, !busy, answering || demand, answered < Self.readLimit else {
            input.append(piece)
            return
        }
        if !answering {
            demand = false
            answering = true
            link?.completeLater(self)
        }
        busy = true
        deliver(piece)
        busy = false
    }

    /// FIN: delivered after what came before it.
    func receiveEnd() {
        ended = true
        if !answering { drain() }
    }

    /// The link's own burst of reading is over.
    func completeReading() {
        finishAnswer()
        drain()
    }

    /// Answers `read()` from what was kept.
    func drain() {
        guard !busy else { return }
        busy = true
        while demand, phase == .active, !input.isEmpty {
            demand = false
            answering = true
            while phase == .active, answered < Self.readLimit, let piece = input.popFirst() { deliver(piece) }
            finishAnswer()
        }
        busy = false
        if demand, !answering, phase == .active, ended, input.isEmpty, !endDelivered { deliverEnd() }
    }

    private func deliver(_ piece: ByteBuffer) {
        answered += piece.readableBytes
        link?.didRead(self, bytes: piece.readableBytes)
        pipeline.syncOperations.fireChannelRead(NIOAny(piece))
    }

    private func finishAnswer() {
        guard answering else { return }
        answering = false
        answered = 0
        guard phase == .active else { return }
        pipeline.syncOperations.fireChannelReadComplete()
        if autoRead, phase == .active { pipeline.syncOperations.read() }
    }

    private func deliverEnd() {
        endDelivered = true
        guard allowRemoteHalfClosure else {
            pipeline.syncOperations.close(mode: .all, promise: nil)
            return
        }
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        if outputClosed, endSent || output.bytes == 0 { closeWhole(promise: nil) }
    }
}
