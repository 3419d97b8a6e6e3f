import Fleet
import Testing

@Suite("Second opinions")
struct SecondOpinionTests {
    @Test("Whoever has found more is believed, in any order")
    func best() throws {
        let (a, b) = (try NodeID("a"), try NodeID("b"))
        let findings: [SecondOpinion.Finding] = [.silent, .refuses, .answers]
        for (index, less) in findings.enumerated() {
            for more in findings.dropFirst(index) {
                let (one, other) = (SecondOpinion(by: a, less), SecondOpinion(by: b, more))
                #expect(one.orBetter(other).finding == more)
                #expect(other.orBetter(one) == other)
            }
        }
    }

    @Test("It says who was asked")
    func text() throws {
        for finding in SecondOpinion.Finding.allCases {
            #expect(SecondOpinion(by: try NodeID("near2"), finding).text.hasPrefix("near2 "))
        }
    }
}
