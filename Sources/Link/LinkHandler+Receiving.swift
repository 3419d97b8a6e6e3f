import NIOCore

extension LinkHandler {
    /// Everything that the decoder has.
    func process(_ now: NIODeadline) {
        do {
            while phase == .open, let event = try decoder.next() {
                switch event {
                case .header(let frame): try receive(frame, now: now)
                case .payload(let piece, let last): receive(piece, last: last)
                }
            }
        } catch let malformed as FrameDecoder.Malformed {
            switch malformed {
            case .version(let version): violate("version \(version) where yamux has 0")
            case .kind(let kind): violate("a frame of the unknown kind \(kind)")
            }
        } catch let violation as Session.Violation {
            violate(violation.what)
        } catch {
            violate("\(error)")
        }
    }

    private func receive(_ frame: FrameHeader, now: NIODeadline) throws(Session.Violation) {
        let action = try session.receive(frame, now: now)
        if !heard {
            heard = true
            firstFrame.succeed(())
        }
        switch action {
        case .none: if frame.kind == .data { incoming = nil }
        case .roundTrip: measures.set(roundTrip: session.roundTrip.smoothed)
        case .goAway(let code): receiveGoAway(code)
        case .stream(let received): apply(received, frame)
        }
    }

    private func apply(_ received: Session.Received, _ frame: FrameHeader) {
        let id = received.stream
        if received.opens { offer(id) }
        if let victim = received.sacrifices {
            let error = LinkError(.memoryExceeded, "the link holds too many unread bytes; read this stream faster")
            channels.removeValue(forKey: victim)?.fail(error)
        }
        if received.resets {
            channels.removeValue(forKey: id)?.fail(LinkError.resetByPeer)
            if frame.kind == .data { incoming = nil }
            return
        }
        if frame.kind == .data, frame.length > 0 {
            incoming = Incoming(
                stream: id, delivers: received.delivers > 0, ends: received.ends, channel: channels[id])
        } else if received.ends {
            receiveEnd(id)
        }
    }

    private func receive(_ piece: ByteBuffer, last: Bool) {
        guard let frame = incoming else { return }
        if last { incoming = nil }
        if frame.delivers {
            if let channel = frame.channel, channel.phase != .closed {
                channel.receive(piece)
            } else {
                session.drop(bytes: piece.readableBytes)
            }
        }
        if last, frame.ends { receiveEnd(frame.stream) }
    }

    private func receiveEnd(_ id: UInt32) {
        channels[id]?.receiveEnd()
        forgetIfOver(id)
    }

    /// The peer opens a stream: the acceptor sets up its channel, and its answer decides.
    private func offer(_ id: UInt32) {
        guard let context, let connection else { return }
        let channel = StreamChannel(link: self, parent: context.channel, id: id)
        channels[id] = channel
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        acceptor(channel, connection).hop(to: context.eventLoop).whenComplete { result in
            let link = bound.value
            guard link.session.contains(id), channel.phase == .initializing else { return }
            switch result {
            case .success:
                link.session.accept(id)
                link.scheduleFlush()
                channel.activate()
            case .failure:
                link.session.reset(id)
                link.channels.removeValue(forKey: id)
                link.discard(channel.input.bytes)
                channel.giveUpOutput(ChannelError.ioOnClosedChannel)
                channel.becomeClosed(error: nil)
                link.scheduleFlush()
            }
        }
    }

    private func receiveGoAway(_ code: GoAwayCode) {
        switch code {
        case .normal:
            if reason == nil { reason = LinkError.peerGone }
            closeIfDone()
        case .protocolError:
            reason = LinkError(
                .protocolViolation, "the peer says that this end broke the protocol; do both run the same version?")
            context?.close(promise: nil)
        default:
            reason = LinkError(.peerWentAway, "the peer had to close the link (code \(code.rawValue)); see its log")
            context?.close(promise: nil)
        }
    }
}
