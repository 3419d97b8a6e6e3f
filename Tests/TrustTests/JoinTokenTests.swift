import Testing
import Trust

@Suite struct JoinTokenTests {
    private let digest = [UInt8](0..<32)

    @Test("a token is one shell-safe word of 100 characters and reads as itself")
    func roundTrip() throws {
        let token = try JoinToken(caDigest: digest)
        #expect(token.text.count == 100)
        #expect(token.text.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-") })
        #expect(try JoinToken(token.text) == token)
        #expect(token.caDigest == digest)
        #expect(token.id.count == 16)
        #expect(token.secret.count == 16)
    }

    @Test("spaces around it, capitals and look-alike letters do no harm")
    func forgiving() throws {
        let token = try JoinToken(caDigest: digest)
        #expect(try JoinToken(" \(token.text.uppercased())\n") == token)
        let body = token.text.dropFirst(4).replacing("0", with: "O").replacing("1", with: "l")
        #expect(try JoinToken("lt1-" + body) == token)
    }

    @Test("every single wrong character is told from a token that the gateway does not know")
    func everyTypo() throws {
        let text = Array(try JoinToken(caDigest: digest).text)
        for index in 4..<text.count {
            var typo = text
            typo[index] = typo[index] == "7" ? "8" : "7"
            #expect { try JoinToken(String(typo)) } throws: { ($0 as? TrustError)?.code == .mistypedToken }
        }
    }

    @Test(
        "what is no token is refused",
        arguments: ["", " ", "lt1-", "lt1-0", "hello", "lt1-" + String(repeating: "0", count: 96), "lt1-\u{1F600}"])
    func malformed(text: String) {
        #expect { try JoinToken(text) } throws: { ($0 as? TrustError)?.code == .mistypedToken }
    }

    @Test("a token that was cut short, or has something behind it, is refused")
    func cut() throws {
        let text = try JoinToken(caDigest: digest).text
        for bad in [
            String(text.dropLast()), text + "0", text + " x", String(text.prefix(50)) + " " + text.dropFirst(50),
        ] {
            #expect { try JoinToken(bad) } throws: { ($0 as? TrustError)?.code == .mistypedToken }
        }
    }

    @Test("a newer release's token says to upgrade")
    func newer() throws {
        let text = "lt2-" + (try JoinToken(caDigest: digest).text.dropFirst(4))
        #expect { try JoinToken(text) } throws: { ($0 as? TrustError)?.code == .unsupportedToken }
    }

    @Test("no two tokens share an id or a secret, and none prints its secret")
    func secrets() throws {
        let tokens = try (0..<100).map { _ in try JoinToken(caDigest: digest) }
        #expect(Set(tokens.map(\.id)).count == 100)
        #expect(Set(tokens.map(\.secretHash)).count == 100)
        var dumped = "\(tokens[0]) \(String(reflecting: tokens[0]))"
        dump(tokens[0], to: &dumped)
        #expect(!dumped.contains(tokens[0].text))
        #expect(!dumped.contains("secret"))
    }
}
