package import Foundation

/// How values that are never queried stand in their columns. Every number that Swift has is kept, also those that JSON
/// lacks: a score may be infinite.
package enum LedgerJSON {
    private static let infinity = (positive: "+inf", negative: "-inf", nan: "nan")

    package static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: infinity.positive, negativeInfinity: infinity.negative, nan: infinity.nan)
        return try encoder.encode(value)
    }

    package static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: infinity.positive, negativeInfinity: infinity.negative, nan: infinity.nan)
        return try decoder.decode(type, from: data)
    }
}
