import FoundationEssentials
import Fleet
import Link
import Logging
import NIOCore
import Synchronization
import Trust
import Wire

extension GatewaySession {
    /// Dials, reports, beats and renews until cancelled; a lost gateway is redialled for ever. Then closes every link.
    package func run() async {
        let timer = loop.scheduleTask(in: Self.settling) { self.settled.succeed() }
        defer {
            timer.cancel()
            settled.succeed()
        }
        let session = WorkloadID.random().hex
        var backoff = Backoff()
        var turn = 0
        while !Task.isCancelled {
            let gateway = gateways[turn % gateways.count]
            let begun = NIODeadline.now()
            var retryAfter: Duration?
            do {
                let control = try await connect(to: gateway, session: session)
                logger.info("connected to the gateway", metadata: ["gateway": "\(gateway)"])
                await attend(control)
                if !Task.isCancelled { logger.warning("lost the gateway", metadata: ["gateway": "\(gateway)"]) }
            } catch {
                retryAfter = (error as? SessionError)?.retryAfter
                if turn < gateways.count || turn % 16 == 0 {
                    logger.warning(
                        "the gateway cannot be reached; trying on",
                        metadata: ["gateway": "\(gateway)", "error": "\(error)"])
                }
            }
            state.withLock { $0.connection = nil }
            turn += 1
            // A session that ends at once must not be redialled at once, for ever.
            if NIODeadline.now() - begun > .seconds(5) {
                backoff.reset()
                turn = 0
            }
            try? await Task.sleep(for: retryAfter ?? backoff.next())
        }
        links.close()
    }

    /// A control stream on which the gateway has said welcome.
    private func connect(to gateway: Endpoint, session: String) async throws -> ControlStream {
        let addresses = try await gateway.resolve()
        let credentials = self.credentials
        let link: LinkConnection
        do {
            link = try await LinkRace.run(addresses, on: loop) { self.dial($0, credentials) }.get()
        } catch {
            throw Self.outdated(credentials, at: Date().timeIntervalSince1970, cause: error) ?? error
        }
        let welcomed = loop.makePromise(of: Void.self)
        link.closed.whenComplete { _ in
            welcomed.fail(SessionError(.unavailable, "the gateway closed the connection before it said welcome"))
        }
        let timer = loop.scheduleTask(in: .seconds(10)) {
            welcomed.fail(SessionError(.timedOut, "the gateway did not say welcome in time"))
        }
        defer { timer.cancel() }
        do {
            try PeerIdentity.requireGateway(link.peer)
            let control = try await ControlStream.open(on: link) { control, body in
                self.receive(body, on: control, welcomed: welcomed)
            }.flatMap { control in
                control.link.eventLoop.submit {
                    self.introduce(control, session: session)
                    return control
                }
            }.get()
            try await welcomed.futureResult.get()
            return control
        } catch {
            welcomed.fail(error)
            link.close(nil)
            throw error
        }
    }

    /// What to say when the gateway did not take a certificate that is not valid by this machine's own clock: TLS cannot tell
    /// that from an authority it does not know.
    static func outdated(_ credentials: Credentials, at now: Double, cause: any Error) -> SessionError? {
        if now < credentials.notBefore {
            let behind = Int(credentials.notBefore - now)
            return SessionError(
                .credentials,
                "this machine's clock is behind: its certificate becomes valid in \(behind) seconds only; set the clock by NTP",
                cause: cause)
        }
        guard now > credentials.expiresAt else { return nil }
        return SessionError(
            .credentials,
            "this node's certificate has expired \(Int(now - credentials.expiresAt)) seconds ago, by this machine's clock; "
                + "set the clock if it is wrong, else remove the folder of the credentials and join again",
            cause: cause)
    }

    private func dial(_ address: SocketAddress, _ credentials: Credentials) -> EventLoopFuture<LinkConnection> {
        do {
            return Link.connect(
                to: address, tls: try LinkTLS.client(credentials: credentials), on: loop, timeout: .seconds(5),
                configuration: configuration.link, logger: logger,
                accept: { stream, link in self.acceptFromGateway(stream, link) })
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    /// Beats and renews until the link is lost or the task cancelled.
    private func attend(_ control: ControlStream) async {
        let beats = loop.scheduleRepeatedTask(initialDelay: .zero, delay: state.withLock { $0.heartbeat }) { _ in
            self.beat(on: control)
        }
        defer { beats.cancel() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withTaskCancellationHandler {
                    do { try await control.link.closed.get() } catch {
                        self.logger.info("the link to the gateway ended", metadata: ["error": "\(error)"])
                    }
                } onCancel: {
                    control.link.close(nil)
                }
            }
            group.addTask { await self.keepCertificateFresh() }
            group.addTask { await self.settleLeases() }
            // The link's end ends the renewal.
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: - Renewal

    private func keepCertificateFresh() async {
        // Certificates begin a little in the past; one that came just now is counted from now.
        var issued: Double?
        while !Task.isCancelled {
            let credentials = self.credentials
            let begin = issued ?? credentials.notBefore
            let life = max(1, credentials.expiresAt - begin)
            let wait = begin + life * 2 / 3 - Date().timeIntervalSince1970
            // In steps: a machine that slept wakes up with another time of day.
            let step = wait > 0 ? min(wait, 60) : 0
            if step > 0 {
                do { try await Task.sleep(for: .seconds(step)) } catch { return }
                continue
            }
            do {
                try await renew(credentials)
                issued = Date().timeIntervalSince1970
                logger.info("renewed this node's certificate")
            } catch {
                logger.warning("this node's certificate was not renewed; trying on", metadata: ["error": "\(error)"])
                do { try await Task.sleep(for: .seconds(min(30, life / 20))) } catch { return }
            }
        }
    }

    /// A new key and a certificate for it; used for every link from here on, running ones stay.
    private func renew(_ old: Credentials) async throws {
        let key = NodeKey()
        let publicKey = key.publicKeyDER
        var request = Lighter_V1_RenewRequest()
        request.publicKey = Data(publicKey)
        request.proof = Data(try key.sign(publicKey))
        guard case .renewReply(let reply) = try await ask(.renewRequest(request)) else { throw Self.unexpected }
        let fresh = try Credentials(
            fleet: old.fleet, certificateChainPEM: reply.certificateChain, keyPEM: key.pemRepresentation,
            caPEM: reply.caCertificate, ticketPublicKey: Array(reply.ticketPublicKey))
        guard fresh.identity == old.identity else {
            throw SessionError(.credentials, "the gateway renewed the certificate of \(fresh.identity) instead")
        }
        // It counts from here on, even where a full disk does not take it.
        state.withLock { $0.credentials = fresh }
        try fresh.save(to: configuration.credentialsDirectory)
    }
}
