import Crypto
import Fleet
import Testing
import Trust

@Suite struct TicketTests {
    private let signer = TicketSigner()
    private let ticket: Ticket
    private let verifier: TicketVerifier

    init() throws {
        ticket = Ticket(
            workload: try WorkloadID("0123456789abcdef0123456789abcdef"), tenant: .main, origin: try NodeID("edge1"),
            target: try NodeID("cloud1"), epoch: 7, notBefore: 1000.25, expiresAt: 2000.5)
        verifier = try TicketVerifier(publicKey: signer.publicKey)
    }

    private func code(_ bytes: [UInt8], now: Double = 1500) -> TrustError.Code? {
        do throws(TrustError) {
            _ = try verifier.verify(bytes, now: now)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("a signed ticket is read back exactly, in at most 300 bytes")
    func roundTrip() throws {
        let bytes = try signer.sign(ticket)
        #expect(try verifier.verify(bytes, now: 1500) == ticket)
        #expect(bytes.count <= 300)
    }

    @Test("a ticket with one bit changed is refused, whichever bit")
    func everyBit() throws {
        let bytes = try signer.sign(ticket)
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect([.forged, .malformedTicket].contains(code(changed)))
            }
        }
    }

    @Test("a ticket that was cut short or made longer is refused")
    func length() throws {
        let bytes = try signer.sign(ticket)
        for count in bytes.indices { #expect(code(Array(bytes.prefix(count))) != nil) }
        #expect(code(bytes + [0]) == .forged)
    }

    @Test("another fleet's ticket is forged here")
    func otherSigner() throws {
        #expect(code(try TicketSigner().sign(ticket)) == .forged)
    }

    @Test("a signature by the same key over the same bytes for another purpose is no ticket")
    func domain() throws {
        let body = try signer.sign(ticket).dropLast(64)
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: signer.rawKey)
        #expect(code(body + Array(try key.signature(for: body))) == .forged)
    }

    @Test(
        "a ticket is valid from its beginning to its end, give or take a minute",
        arguments: [
            (939.0, TrustError.Code.notYetValid), (941, nil), (1500, nil), (2060, nil), (2061, .expired),
        ])
    func times(now: Double, expected: TrustError.Code?) throws {
        #expect(code(try signer.sign(ticket), now: now) == expected)
    }

    @Test("an expired ticket says for how long, and to look at the clocks")
    func remedy() throws {
        let bytes = try signer.sign(ticket)
        #expect { try verifier.verify(bytes, now: 2000.5 + 7300) } throws: {
            "\($0)".contains("2 hours ago") && "\($0)".contains("check the clocks")
        }
    }

    @Test("times that are no numbers are refused even when signed", arguments: [Double.nan, .infinity])
    func notFinite(time: Double) throws {
        var bad = ticket
        bad.expiresAt = time
        #expect(code(try signer.sign(bad)) == .malformedTicket)
    }

    @Test("random bytes never crash the verifier")
    func noise() {
        var random = SystemRandomNumberGenerator()
        for count in 0..<400 {
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            if !bytes.isEmpty { bytes[0] = 1 }
            #expect(code(bytes) != nil)
        }
    }

    @Test("the signing key cannot be printed by accident")
    func secret() {
        var dumped = "\(signer) \(String(reflecting: signer))"
        dump(signer, to: &dumped)
        #expect(!dumped.contains("PrivateKey"))
    }
}
