fun main() = println("later")
