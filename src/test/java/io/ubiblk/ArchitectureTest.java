// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk;

import static com.tngtech.archunit.core.domain.JavaModifier.NATIVE;
import static com.tngtech.archunit.core.domain.JavaModifier.STATIC;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Which package may use which, and what is kept to one package. */
class ArchitectureTest {
  private static final String BASE = "io.ubiblk";

  /** Each package of ours with the ones that it may use; whatever is not here is refused. */
  private static final Map<String, Set<String>> MAY_USE =
      Map.ofEntries(
          entry("cli", Set.of("backend", "config", "secret")),
          entry(
              "backend",
              Set.of(
                  "archive",
                  "config",
                  "metadata",
                  "nativelib",
                  "remote",
                  "rpc",
                  "secret",
                  "stripe",
                  "transcode")),
          entry("rpc", Set.of("config", "metadata", "nativelib", "stripe")),
          entry("archive", Set.of("config", "metadata", "nativelib", "secret", "stripe")),
          entry("remote", Set.of("config", "metadata", "nativelib", "secret", "stripe")),
          entry("transcode", Set.of("config", "metadata", "nativelib", "secret")),
          entry("stripe", Set.of("config", "metadata", "nativelib", "secret")),
          entry("metadata", Set.of("config", "nativelib", "secret")),
          entry("nativelib", Set.of("config", "secret")),
          entry("config", Set.of("secret")),
          entry("secret", Set.of()));

  private static JavaClasses product;

  @BeforeAll
  static void readProduct() {
    product =
        new ClassFileImporter()
            .withImportOption(location -> !location.contains("/test-classes/"))
            .importPackages(BASE);
  }

  @Test
  void packagesUseOnlyThoseBelowThem() {
    Set<String> violations = new TreeSet<>();
    for (JavaClass from : product) {
      String user = topPackage(from);
      Set<String> allowed = MAY_USE.get(user);
      assertThat(allowed).as("package %s is not in the table of MAY_USE", user).isNotNull();
      from.getDirectDependenciesFromSelf().stream()
          .filter(dependency -> dependency.getTargetClass().getPackageName().startsWith(BASE + "."))
          .filter(dependency -> !topPackage(dependency.getTargetClass()).equals(user))
          .filter(dependency -> !allowed.contains(topPackage(dependency.getTargetClass())))
          .forEach(dependency -> violations.add(dependency.getDescription()));
    }
    assertThat(violations).isEmpty();
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching(BASE + ".(**)").should().beFreeOfCycles().check(product);
  }

  @Test
  void nativeMethodsAreStaticAndLiveInNativelib() {
    methods()
        .that()
        .haveModifier(NATIVE)
        .should()
        .haveModifier(STATIC)
        .andShould()
        .beDeclaredInClassesThat()
        .resideInAPackage(BASE + ".nativelib")
        .allowEmptyShould(true)
        .check(product);
  }

  @Test
  void onlyWhatAnswersInJsonSeesJackson() {
    keepTo("com.fasterxml..", BASE + ".rpc..", BASE + ".backend..");
  }

  @Test
  void onlyConfigSeesTheYamlParser() {
    keepTo("org.yaml..", BASE + ".config..");
  }

  @Test
  void onlyTheCommandLineSeesPicocli() {
    keepTo("picocli..", BASE + ".cli..");
  }

  @Test
  void onlyTheS3StoreSeesTheAwsSdk() {
    keepTo("software.amazon..", BASE + ".archive.s3..");
  }

  @Test
  void onlyNativelibLoadsLibraries() {
    keepTo("org.scijava..", BASE + ".nativelib..");
  }

  @Test
  void onlyTheCommandLineEndsTheProcess() {
    noClasses()
        .that()
        .resideOutsideOfPackage(BASE + ".cli..")
        .should()
        .callMethod(System.class, "exit", int.class)
        .allowEmptyShould(true)
        .check(product);
  }

  private static void keepTo(String dependency, String... packages) {
    noClasses()
        .that()
        .resideOutsideOfPackages(packages)
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(dependency)
        .allowEmptyShould(true)
        .check(product);
  }

  /** {@code "config"} of {@code io.ubiblk.config.Foo}; {@code "archive"} of archive.s3 as well. */
  private static String topPackage(JavaClass type) {
    String rest = type.getPackageName().substring(BASE.length());
    return rest.isEmpty() ? "" : rest.substring(1).split("\\.", 2)[0];
  }
}
