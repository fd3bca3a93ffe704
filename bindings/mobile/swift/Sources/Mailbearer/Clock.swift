/// A clock that goes on while the device sleeps, in the milliseconds that the machines count.
enum Clock {
    private static let origin = ContinuousClock.now

    static var nowMs: UInt64 {
        (ContinuousClock.now - origin).milliseconds
    }

    /// The instant of a time of the machines.
    static func instant(_ ms: UInt64) -> ContinuousClock.Instant {
        origin + .milliseconds(ms)
    }
}

/// Notices that the device slept between two looks.
struct SleepDetector {
    /// Longest time between two looks, so that sleep is noticed soon after.
    static let look = Duration.seconds(30)
    private static let slept = Duration.seconds(5)
    /// Stopped, and not only busy: as with SIGSTOP, or an app in the background.
    private static let stopped = Duration.seconds(60)

    private var wall = ContinuousClock.now
    private var awake = SuspendingClock.now

    /// Whether the device slept since the last look.
    mutating func happened() -> Bool {
        let (wall, awake) = (ContinuousClock.now - wall, SuspendingClock.now - awake)
        (self.wall, self.awake) = (ContinuousClock.now, SuspendingClock.now)
        return wall - awake > Self.slept || awake > Self.look + Self.stopped
    }
}

extension Duration {
    /// Whole milliseconds, at least none.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
