"""The map adjusted as a whole: keyframes, landmarks and calibration together, when a recording has ended"""
