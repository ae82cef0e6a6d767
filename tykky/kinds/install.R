# Installs R packages from files into a library, each after those that it needs; run by the R of a
# base in a box:  Rscript --vanilla install.R FILES LIBRARY JOBS
#
# What it makes is the same however many are installed at once, and whenever: sources lie at one
# path, which help pages and debugging information name, and the time is always the same.

args <- commandArgs(TRUE)
files <- args[1]; library <- args[2]; jobs <- as.integer(args[3])
sources <- "/tmp/r-src"
dir.create(sources, showWarnings = FALSE)
dir.create(library, showWarnings = FALSE, recursive = TRUE)

fields <- c("Package", "Version", "Depends", "Imports", "LinkingTo", "SystemRequirements")
about <- list()
for (file in sort(list.files(files, full.names = TRUE), method = "radix")) {
  name <- sub("\\.tar\\.gz$", "", basename(file))
  place <- file.path(sources, name)
  dir.create(place)
  tar <- Sys.which("tar")
  status <- if (nzchar(tar)) {
    system2(tar, c("-xf", file, "-C", place, "--strip-components=1", "--no-same-owner"))
  } else {
    utils::untar(file, exdir = paste0(place, ".t"), tar = "internal")
    unlink(place, recursive = TRUE)
    !file.rename(file.path(paste0(place, ".t"), name), place)
  }
  if (status != 0) stop("cannot unpack ", file)
  about[[name]] <- read.dcf(file.path(place, "DESCRIPTION"), fields = fields)[1, ]
}

needs <- lapply(about, function(said) {
  text <- paste(said[c("Depends", "Imports", "LinkingTo")], collapse = ",")
  intersect(sub("[[:space:]]*\\(.*", "", trimws(strsplit(text, ",")[[1]])), names(about))
})

log_of <- function(name) file.path("/tmp", paste0("r-", name, ".log"))
end_of <- function(name) file.path("/tmp", paste0("r-", name, ".end"))
start <- function(name) {
  words <- c(
    file.path(R.home("bin"), "R"), "CMD", "INSTALL", paste0("--library=", library), "--pkglock",
    "--built-timestamp='1980-01-01 00:00:00 UTC'", "--strip", file.path(sources, name)
  )
  line <- paste(words, collapse = " ")
  system(sprintf("(%s > %s 2>&1; echo $? > %s) &", line, log_of(name), end_of(name)))
}

waiting <- names(about); running <- done <- character()
while (length(waiting) + length(running)) {
  ready <- Filter(function(name) all(needs[[name]] %in% done), waiting)
  for (name in head(ready, jobs - length(running))) {
    start(name)
    waiting <- setdiff(waiting, name); running <- c(running, name)
  }
  if (!length(running)) stop("these need each other: ", paste(waiting, collapse = ", "))
  ended <- Filter(function(name) isTRUE(file.size(end_of(name)) > 0), running)
  if (!length(ended)) Sys.sleep(0.02)
  for (name in ended) {
    cat(readLines(log_of(name), warn = FALSE), sep = "\n")
    if (readLines(end_of(name))[1] != "0") {
      said <- about[[name]]
      more <- said[["SystemRequirements"]]
      more <- if (is.na(more)) "" else paste("; on the system, it needs", gsub("\\s+", " ", more))
      cat("cannot install ", name, " ", said[["Version"]], more, "\n", sep = "")
      quit(status = 1)
    }
    running <- setdiff(running, name); done <- c(done, name)
  }
}
