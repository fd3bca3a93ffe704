// NOT BUILT HERE: Google's Maven repository, the Android SDK and NDK are not reached from the machines that this is made on.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "mailbearer-android"
