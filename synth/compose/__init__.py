"""From a kit and a number to a domain: `Composer(seed).blueprint(number)`. Nothing here plays or proves a task."""
