"""What upstream's own tests load instead of their fixtures. It is on the path of their process, not of ours."""
