// NOT BUILT HERE: Google's Maven repository and the Android SDK are not reached from the machines that this is made on.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        mavenLocal()
        google()
        mavenCentral()
    }
}

rootProject.name = "mailbearer-sample"
