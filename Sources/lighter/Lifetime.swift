import ArgumentParser

/// A length of time as a person writes it: `90s`, `30m`, `1h`, `2d`.
struct Lifetime: ExpressibleByArgument, Equatable {
    let seconds: Double
    let defaultValueDescription: String

    init?(argument: String) {
        let scales: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = argument.last, let scale = scales[unit], let count = UInt32(argument.dropLast()), count > 0
        else { return nil }
        seconds = Double(count) * scale
        defaultValueDescription = argument
    }

    static let second = Lifetime(seconds: 1, text: "1s")
    static let hour = Lifetime(seconds: 3600, text: "1h")

    private init(seconds: Double, text: String) {
        self.seconds = seconds
        defaultValueDescription = text
    }
}
